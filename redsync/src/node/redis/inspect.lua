-- Finds out who holds a name. Changes nothing. KEYS: the name. Returns nil if the name is free.
-- Otherwise returns 'shared', 'exclusive' or 'foreign' (the key is no lock), and then for each holder its owner value and for how
-- many ms it holds the name (negative: for ever).
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then
  return false
end
if kind ~= 'zset' or not redis.call('ZSCORE', KEYS[1], '') then
  local value = kind == 'string' and redis.call('GET', KEYS[1]) or ''
  local left = redis.call('PTTL', KEYS[1])
  -- Every lock is set together with its expiry.
  local is_lock = kind == 'string' and left ~= -1
  return { is_lock and 'exclusive' or 'foreign', value, left }
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
