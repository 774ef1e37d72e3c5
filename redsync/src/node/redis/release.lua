-- Releases those of the names that the owner holds.
-- KEYS: the names. ARGV: owner value, 'shared' or 'exclusive', and whether this is the end of an
-- exclusive attempt that was repeated (above zero): new shared holders are then admitted again.
-- Returns 1 if the owner held all of them, else 0.
local value, mode = ARGV[1], ARGV[2]
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
    redis.call('DEL', KEYS[i])
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
