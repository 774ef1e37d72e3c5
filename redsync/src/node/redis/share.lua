-- Acquires all names in shared mode, or none. A client that locks by SET NX finds a shared name
-- taken, and its script that compares and deletes a string does not delete it. KEYS: the names.
-- ARGV: owner value, expiry in ms. Returns {1}, or {0, for how many ms a name is not available
-- (negative: for ever)}, or {2, the number of a key that is not a lock}.
local value, expiry = ARGV[1], tonumber(ARGV[2])

local kept_out
for i = 1, #KEYS do
  local kind, exclusive_next = kind_of(KEYS[i])
  if is_not_a_lock(KEYS[i], kind) then
    return { 2, i }
  elseif kind == 'shared' then
    if exclusive_next > now and not redis.call('ZSCORE', KEYS[i], value) then
      kept_out = longer(exclusive_next - now, kept_out)
    end
  elseif kind ~= 'none' then
    kept_out = longer(redis.call('PTTL', KEYS[i]), kept_out)
  end
end
if kept_out then
  return { 0, kept_out }
end

for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], 'NX', 0, '', now + expiry, value)
  expire_with_last(KEYS[i])
end
return { 1 }
