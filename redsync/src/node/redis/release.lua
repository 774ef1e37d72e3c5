-- Deletes the key if it is the owner's; ARGV: owner value.
-- pcall: a key of another type makes GET an error, and is not the owner's.
if redis.pcall('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
