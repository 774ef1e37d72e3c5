-- Deletes a key if it has the given owner value.
-- KEYS: the name. ARGV: owner value.
-- Returns 1, or 0 if the key is missing, has another value or is of another type.
if redis.pcall('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
