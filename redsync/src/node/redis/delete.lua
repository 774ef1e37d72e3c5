-- Deletes a key if it has the given owner value, now or after a time. In the latter case the key gets
-- another value, so that an extension that arrives later finds that the owner no longer holds it.
-- KEYS: the name. ARGV: owner value, for how many ms the key is kept.
-- Returns 1, or 0 if the key is missing, has another value or is of another type.
local released = ARGV[1] .. ':released'
local found = redis.pcall('GET', KEYS[1])
if found == ARGV[1] then
  if ARGV[2] == '0' then
    return redis.call('DEL', KEYS[1])
  end
  redis.call('SET', KEYS[1], released, 'PX', ARGV[2])
  return 1
elseif found == released and ARGV[2] ~= '0' then
  -- This release has arrived before.
  return 1
elseif type(found) == 'table' and not string.find(found.err, 'WRONGTYPE') then
  return found
end
return 0
