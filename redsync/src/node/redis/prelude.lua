-- Functions that the scripts which change a lock have in common.
--
-- An exclusive lock is a string: its owner value. A shared lock is a sorted set: its members are
-- the owner values, and their scores are the times in ms at which they expire. The member '' is not
-- a holder. It marks the set as a lock, and up to its score no new shared holder is admitted,
-- because an exclusive one is next.
--
-- A write to a key wakes all who watch it, even one that leaves it as it was. So an attempt that is refused
-- writes only what has to change.

-- Before Redis 7.0, a server can be configured to refuse all writes after TIME, unless a script asks for its
-- effects to be replicated in place of the script. Newer servers always replicate effects.
if redis.replicate_commands then
  redis.replicate_commands()
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Returns 'none', 'exclusive', 'shared' (and up to when an exclusive one is next), or 'foreign' for
-- a key that is not a lock and must not be changed. Removes holders that have expired.
local function kind_of(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then
    return 'none'
  elseif kind == 'string' then
    return 'exclusive'
  end
  local exclusive_next = kind == 'zset' and redis.call('ZSCORE', key, '')
  if not exclusive_next then
    return 'foreign'
  end
  exclusive_next = tonumber(exclusive_next)
  -- The mark, too, if its time is over. This is the first write, because a server that is out of memory
  -- refuses ZADD to a script that has not written yet.
  redis.call('ZREMRANGEBYSCORE', key, '(0', now)
  if exclusive_next > now then
    return 'shared', exclusive_next
  end
  if exclusive_next > 0 and redis.call('ZCARD', key) > 0 then
    redis.call('ZADD', key, 0, '')
  end
  if redis.call('ZCARD', key) <= 1 then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    return 'none'
  end
  return 'shared', 0
end

-- Returns whether a key of this kind is not a lock. Every lock is set together with its expiry, by SET PX
-- or within one script, so a string without one was set by something that takes no locks, or was made
-- to stay. Nobody will release it.
local function is_not_a_lock(key, kind)
  return kind == 'foreign' or kind == 'exclusive' and redis.call('PTTL', key) == -1
end

-- Makes a shared lock expire with the last of its members.
local function expire_with_last(key)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  redis.call('PEXPIREAT', key, string.format('%.0f', last[2]))
end

-- Returns the longer of two times in ms. A negative time means for ever, and nil means none.
local function longer(a, b)
  if not b or a and (a < 0 or a > b and b >= 0) then
    return a
  end
  return b
end

-- Counters are compared as strings: Lua's numbers have 53 bits.
local function larger(a, b)
  return #a > #b or #a == #b and a > b
end

-- Returns the value of a counter, or '0' if there is none, or nil if the key is not a counter. A number that
-- INCRBY does not read, or that is above all tokens (2^62, and the rest of its stride), is not one.
local function find_counter(key)
  local number = redis.pcall('GET', key)
  if not number then
    return '0'
  elseif type(number) == 'string' then
    local is_number = number == '0' or string.match(number, '^[1-9]%d*$')
    return is_number and not larger(number, '4611686018427387967') and number or nil
  elseif not string.find(number.err, 'WRONGTYPE') then
    -- Fails again, with this error.
    redis.call('GET', key)
  end
end

-- The same, but fails if the key is not a counter, so scripts read all counters before they set
-- anything.
local function counter(key)
  return find_counter(key) or error('the key ' .. key .. ' is not a counter')
end
