-- Bodies of POST /memorize for wrk: distinct memories of 300 bytes, from a
-- vocabulary of 100,000 words with Zipf's frequencies.
--
--   wrk -s scripts/memorize.lua URL -- SEED AGENTS KEY
--
-- A text is one of 4,000 first halves and one of 4,000 second ones, of whole words,
-- so that a request costs next to nothing here and yet no text occurs twice in a
-- thread's first 16 million. Every body has the same length.

local words = 100000
local halves = 4000
local half_bytes = 150

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local function vocabulary()
  math.randomseed(1) -- the same words in every thread and run
  local syllables = {}
  for consonant in ("bcdfghjklmnprstvz"):gmatch(".") do
    for vowel in ("aeiou"):gmatch(".") do
      syllables[#syllables + 1] = consonant .. vowel
    end
  end
  local list, seen, cumulative, sum = {}, {}, {}, 0
  while #list < words do
    local word = ""
    for _ = 1, math.random(2, 4) do
      word = word .. syllables[math.random(#syllables)]
    end
    if not seen[word] then
      seen[word] = true
      list[#list + 1] = word
      sum = sum + 1 / #list
      cumulative[#list] = sum
    end
  end
  return list, cumulative
end

local function draw(list, cumulative)
  local target = math.random() * cumulative[#cumulative]
  local low, high = 1, #cumulative
  while low < high do
    local middle = math.floor((low + high) / 2)
    if cumulative[middle] < target then
      low = middle + 1
    else
      high = middle
    end
  end
  return list[low]
end

local function texts(list, cumulative)
  local made = {}
  for i = 1, halves do
    local text = ""
    while true do
      local longer = text .. draw(list, cumulative) .. " "
      if #longer > half_bytes then
        break
      end
      text = longer
    end
    made[i] = text .. (" "):rep(half_bytes - #text)
  end
  return made
end

local first, second, agents, head, middle
local sent = 0

function init(args)
  local seed = tonumber(args[1]) or 1
  agents = tonumber(args[2]) or 1
  local list, cumulative = vocabulary()
  math.randomseed(seed * 1000 + number)
  first = texts(list, cumulative)
  second = texts(list, cumulative)
  middle = '","content":"'
  local length = #'{"agent_id":"agent-0000' + #middle + 2 * half_bytes + #'"}'
  head = "POST /memorize HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
    .. "\r\nContent-Type: application/json\r\nX-API-Key: " .. (args[3] or "none")
    .. "\r\nContent-Length: " .. length .. '\r\n\r\n{"agent_id":"agent-'
end

function request()
  local i = sent % halves
  local j = (math.floor(sent / halves) + i) % halves
  local agent = string.format("%04d", sent % agents)
  sent = sent + 1
  return head .. agent .. middle .. first[i + 1] .. second[j + 1] .. '"}'
end
