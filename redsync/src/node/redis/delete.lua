-- Deletes a key if it has the given owner value, now or after a time.
-- KEYS: the name. ARGV: owner value, for how many ms the key is kept.
-- Returns 1, or 0 if the key is missing, has another value or is of another type.
local found = redis.pcall('GET', KEYS[1])
if found == ARGV[1] then
  if ARGV[2] == '0' then
    return redis.call('DEL', KEYS[1])
  end
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif type(found) == 'table' and not string.find(found.err, 'WRONGTYPE') then
  return found
end
return 0
