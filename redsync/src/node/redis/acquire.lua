-- Acquires all names exclusively, or none. KEYS: the names; if the lock is fenced, then the
-- counters of the names. ARGV: owner value, expiry in ms, number of names, stride, retention of
-- counters in ms, for how many ms at least to admit no new shared holders if shared holders keep this
-- lock out (zero: this acquisition will not be repeated), and for how many at most. Returns {1},
-- {1, number}, {0, for how many ms another holds a name (negative: for ever)}, {2, the number of a key
-- that is not a lock, or not a counter}, or {3, for how many ms shared holders have a name that is now
-- reserved}.
local value, expiry, names = ARGV[1], ARGV[2], tonumber(ARGV[3])

local kinds, reserved_until = {}, {}
for i = 1, names do
  kinds[i], reserved_until[i] = kind_of(KEYS[i])
  if is_not_a_lock(KEYS[i], kinds[i]) then
    return { 2, i }
  end
end

local mine, kept_out, answer = 0, nil, 0
for i = 1, names do
  local kind = kinds[i]
  if kind == 'exclusive' and redis.call('GET', KEYS[i]) == value then
    mine = mine + 1
  elseif kind == 'shared' then
    local last = redis.call('ZREVRANGE', KEYS[i], 0, 1, 'WITHSCORES')
    local at = last[1] == '' and 3 or 1
    if last[at] then
      if tonumber(ARGV[6]) > 0 then
        -- The write wakes other exclusive waiters, whose attempts would all write, too, and wake each
        -- other for ever. So it is made only when it is due.
        if reserved_until[i] < now + ARGV[6] then
          redis.call('ZADD', KEYS[i], now + ARGV[7], '')
          expire_with_last(KEYS[i])
        end
        answer = 3
      end
      kept_out = longer(last[at + 1] - now, kept_out)
    end
  elseif kind ~= 'none' then
    kept_out = longer(redis.call('PTTL', KEYS[i]), kept_out)
  end
end
if kept_out then
  return { answer, kept_out }
end

local number
if #KEYS > names then
  number = mine == names and '0' or time[1] .. '000000'
  for i = names + 1, #KEYS do
    if not find_counter(KEYS[i]) then
      return { 2, i }
    end
  end
  for i = names + 1, #KEYS do
    if mine < names then
      redis.call('INCRBY', KEYS[i], ARGV[4])
      redis.call('PEXPIRE', KEYS[i], ARGV[5])
    end
    local grown = counter(KEYS[i])
    if larger(grown, number) then
      number = grown
    end
  end
  for i = names + 1, #KEYS do
    redis.call('SET', KEYS[i], number, 'PX', ARGV[5])
  end
end

for i = 1, names do
  -- If this owner already holds the name, its expiry is left as it is. Otherwise the name is free,
  -- or a set without holders, which SET replaces.
  if redis.pcall('GET', KEYS[i]) ~= value then
    redis.call('SET', KEYS[i], value, 'PX', expiry)
  end
end
return { 1, number }
