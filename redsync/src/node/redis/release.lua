-- Releases those of the names that the owner holds, now or after a time: see delete.lua.
-- KEYS: the names. ARGV: owner value, 'shared' or 'exclusive', whether this is the end of an
-- exclusive attempt that was repeated (above zero): new shared holders are then admitted again; and
-- for how many ms the names are kept. If the same release after a time arrives again, it succeeds. Returns 1 if the owner held all of them, else 0.
local value, mode, kept = ARGV[1], ARGV[2], tonumber(ARGV[4])
local released = value .. ':released'
local all = 1
for i = 1, #KEYS do
  local kind, reserved_until = kind_of(KEYS[i])
  if kind == 'shared' and mode == 'exclusive' and tonumber(ARGV[3]) > 0 then
    if reserved_until > 0 then
      redis.call('ZADD', KEYS[i], 0, '')
      -- Unless no holder is left.
      if kind_of(KEYS[i]) == 'shared' then
        expire_with_last(KEYS[i])
      end
    end
    all = 0
  elseif kind ~= mode then
    all = 0
  elseif mode == 'exclusive' then
    local found = redis.call('GET', KEYS[i])
    if found == value and kept > 0 then
      redis.call('SET', KEYS[i], released, 'PX', kept)
    elseif found == value then
      redis.call('DEL', KEYS[i])
    elseif kept == 0 or found ~= released then
      all = 0
    end
  elseif redis.call('ZREM', KEYS[i], value) == 1 then
    if kept > 0 then
      redis.call('ZADD', KEYS[i], now + kept, released)
    end
    -- Unless that was the last holder.
    if kind_of(KEYS[i]) == 'shared' then
      expire_with_last(KEYS[i])
    end
  elseif kept == 0 or not redis.call('ZSCORE', KEYS[i], released) then
    all = 0
  end
end
return all
