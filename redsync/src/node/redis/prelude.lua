-- What the scripts that change a lock have in common.
--
-- An exclusive lock is a string. A shared one is a sorted set: its members are the owner values,
-- their scores the times in ms at which they expire. The member '' is no holder: it tells the set
-- from an application's, and up to its score it is an exclusive one's turn.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- 'none', 'exclusive', 'shared' (and up to when it is an exclusive one's turn), or 'foreign': not a
-- lock, and left alone. Forgets holders that have expired.
local function kind_of(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then
    return 'none'
  elseif kind == 'string' then
    return 'exclusive'
  end
  local turn = kind == 'zset' and redis.call('ZSCORE', key, '')
  if not turn then
    return 'foreign'
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  turn = tonumber(turn)
  if redis.call('ZCARD', key) == 0 then
    return 'none'
  end
  redis.call('ZADD', key, turn, '')
  return 'shared', turn
end

-- Lets a shared lock live as long as its last member.
local function expire_with_last(key)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  redis.call('PEXPIREAT', key, string.format('%.0f', last[2]))
end

-- The longer of two times in ms, where negative is for ever and nil is none.
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

-- A counter, '0' if there is none. Fails before anything is written if it is none of ours.
local function counter(key)
  local number = redis.call('GET', key) or '0'
  if not string.match(number, '^%d+$') then
    error('the counter ' .. key .. ' is no number')
  end
  return number
end
