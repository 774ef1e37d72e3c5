-- Extends all names, if the owner holds all of them. KEYS: the names; if there is a token, then the
-- counters of the names. ARGV: owner value, expiry in ms, number of names, 'shared' or 'exclusive',
-- '1' to set missing names, token, retention of counters in ms. Returns 0 (another key has one of the
-- names), 1 (extended), 2 (extended, and missing names set) or 3 (names are missing, and no other key has
-- one of them). With 0 and 3, nothing was changed.
local value, expiry, names = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local mode, token = ARGV[4], ARGV[6]

local missing = {}
for i = 1, names do
  local kind = kind_of(KEYS[i])
  local held = false
  if kind == mode and mode == 'shared' then
    held = redis.call('ZSCORE', KEYS[i], value)
  elseif kind == mode then
    held = redis.call('GET', KEYS[i]) == value
  end
  if not held then
    if kind ~= 'none' then
      return 0
    end
    missing[i] = true
  end
end
if next(missing) and ARGV[5] ~= '1' then
  return 3
end
-- Read the counters before names are set, because this can fail.
local counters = {}
for i = names + 1, #KEYS do
  counters[i] = counter(KEYS[i])
end

for i = 1, names do
  if mode == 'shared' then
    local ends = tonumber(redis.call('ZSCORE', KEYS[i], value) or 0)
    redis.call('ZADD', KEYS[i], 'NX', 0, '')
    redis.call('ZADD', KEYS[i], math.max(ends, now + expiry), value)
    expire_with_last(KEYS[i])
  elseif missing[i] then
    redis.call('SET', KEYS[i], value, 'PX', expiry)
  elseif redis.call('PTTL', KEYS[i]) < expiry then
    redis.call('PEXPIRE', KEYS[i], expiry)
  end
end
for i = names + 1, #KEYS do
  local number = larger(token, counters[i]) and token or counters[i]
  redis.call('SET', KEYS[i], number, 'PX', ARGV[7])
end
return next(missing) and 2 or 1
