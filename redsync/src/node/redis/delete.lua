-- Deletes a key if its value is the owner's. KEYS: the name. ARGV: owner value.
-- Returns 1, or 0 if it is missing, another's, or of another type.
if redis.pcall('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
