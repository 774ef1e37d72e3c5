-- Releases those of the names that the owner holds, now or after a time.
-- KEYS: the names. ARGV: owner value, 'shared' or 'exclusive', whether this is the end of an
-- exclusive attempt that was repeated (above zero): new shared holders are then admitted again; and
-- for how many ms the names are kept. Returns 1 if the owner held all of them, else 0.
local value, mode, kept = ARGV[1], ARGV[2], tonumber(ARGV[4])
local all = 1
for i = 1, #KEYS do
  local kind = kind_of(KEYS[i])
  if kind == 'shared' and mode == 'exclusive' and tonumber(ARGV[3]) > 0 then
    redis.call('ZADD', KEYS[i], 0, '')
    -- Unless no holder is left.
    if kind_of(KEYS[i]) == 'shared' then
      expire_with_last(KEYS[i])
    end
    all = 0
  elseif kind ~= mode then
    all = 0
  elseif mode == 'exclusive' and redis.call('GET', KEYS[i]) == value then
    if kept > 0 then
      redis.call('PEXPIRE', KEYS[i], kept)
    else
      redis.call('DEL', KEYS[i])
    end
  elseif mode == 'shared' and kept > 0 and redis.call('ZSCORE', KEYS[i], value) then
    redis.call('ZADD', KEYS[i], now + kept, value)
    expire_with_last(KEYS[i])
  elseif mode == 'shared' and redis.call('ZREM', KEYS[i], value) == 1 then
    -- Unless that was the last holder.
    if kind_of(KEYS[i]) == 'shared' then
      expire_with_last(KEYS[i])
    end
  else
    all = 0
  end
end
return all
