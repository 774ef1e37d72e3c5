-- Finds out who holds a name. Changes nothing. KEYS: the name. Returns nil if the name is free.
-- Otherwise returns 'shared', 'exclusive' or 'foreign' (the key is not a lock), and then for each holder
-- its owner value and for how many ms it holds the name (negative: for ever, or unknown).
local value = redis.pcall('GET', KEYS[1])
if not value then
  return false
elseif type(value) == 'string' then
  -- Every lock is set together with its expiry. Without permission for PTTL, this is not known.
  local left = redis.pcall('PTTL', KEYS[1])
  if type(left) ~= 'number' then
    left = -2
  end
  return { left == -1 and 'foreign' or 'exclusive', value, left }
elseif not string.find(value.err, 'WRONGTYPE') then
  return value
end
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' or not redis.call('ZSCORE', KEYS[1], '') then
  return { 'foreign', '', redis.call('PTTL', KEYS[1]) }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reply = { 'shared' }
local members = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #members, 2 do
  -- The member '' is not a holder: see prelude.lua.
  if members[i] ~= '' and tonumber(members[i + 1]) > now then
    reply[#reply + 1] = members[i]
    reply[#reply + 1] = members[i + 1] - now
  end
end
return #reply > 1 and reply or false
