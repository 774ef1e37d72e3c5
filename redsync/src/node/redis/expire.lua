-- Extends one exclusive name, if the owner holds it. It runs no commands that go-redsync does not
-- need, or does without them. KEYS: the name. ARGV: owner value, expiry in ms, '1' to set the name if
-- it is missing. Returns 0 (another key has the name; nothing was changed), 1 (extended), 2 (set) or 3
-- (the name is missing, and was not set).
-- For the same reason as in prelude.lua: before Redis 7.0, PTTL counts as a command like TIME.
if redis.replicate_commands then
  redis.replicate_commands()
end
local value, expiry = ARGV[1], tonumber(ARGV[2])

local found = redis.pcall('GET', KEYS[1])
if found == value then
  local later = redis.pcall('PEXPIRE', KEYS[1], expiry, 'GT')
  if later ~= 1 then
    -- Either the key is kept for longer or for ever, or the server is older than 7.0 and has no GT.
    -- If the user may not run PTTL, the answer to GT decides.
    local left = redis.pcall('PTTL', KEYS[1])
    if type(left) ~= 'number' then
      left = later == 0 and expiry or 0
    end
    if left < expiry then
      redis.call('PEXPIRE', KEYS[1], expiry)
    end
  end
  return 1
elseif not found and ARGV[3] == '1' then
  redis.call('SET', KEYS[1], value, 'PX', expiry)
  return 2
elseif not found then
  return 3
elseif type(found) == 'table' and not string.find(found.err, 'WRONGTYPE') then
  return found
end
return 0
