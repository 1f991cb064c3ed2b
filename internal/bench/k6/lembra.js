// What the scripts share. Everything comes from the environment:
//
//   API_BASE_URL TENANT_ID AGENT_ID API_KEY   the server, and whose memories
//   TEST_TYPE MAX_VUS                         the profile (profiles.json) and its most users
//   REQUEST_TIMEOUT SLEEP_BETWEEN_REQUESTS    15s and 0.05 (seconds) by default
//   BENCH_SESSION                             names the run in the memories it stores
//   REPORT_EVERY                              prints the id of one memory in so many; 0: of none
//
// What a user prints is for whoever conducts the run: "A memory_id" of a memory
// that was acknowledged, "F /route status error_code message" of a request that failed. At
// the end "M {…}" tells all that was counted.
//
// The machine that makes the load is the bottleneck of most runs, so that a
// request costs as little here as an honest check allows.
import http from 'k6/http';
import exec from 'k6/execution';
import { check, sleep } from 'k6';

// What an import is bound to is looked up anew each time; a constant is not.
const post = http.post;
const checkAll = check;
const rest = sleep;

const env = __ENV;
const base = env.API_BASE_URL || 'http://127.0.0.1:8080';
const pause = Number(env.SLEEP_BETWEEN_REQUESTS || 0.05);
const every = Number(env.REPORT_EVERY || 0);
const tenant = env.TENANT_ID;
const agent = env.AGENT_ID;
const session = env.BENCH_SESSION || 'bench';
const owner = `{"tenant_id":${JSON.stringify(tenant)},"agent_id":${JSON.stringify(agent)},`;
const headers = { 'Content-Type': 'application/json', 'X-API-Key': env.API_KEY };
const sent = (name) => ({ headers, timeout: env.REQUEST_TIMEOUT || '15s', tags: { name } });
const toMemorize = sent('/memorize');
const toRecall = sent('/recall');

// What an answer was found to be; the same objects each time, and values instead
// of functions, as these cost less.
const ofStatus = { 'Status is 200': false };
const ofAnswer = {
  'Status is 200': true,
  'memory_id exists': false,
  'embedding_model exists': false,
  'tenant_id is correct': false,
  'agent_id is correct': false,
};

// The options are read once, before there are users; a user needs none of it.
export function options() {
  if (__VU > 0) {
    return {};
  }
  const profiles = JSON.parse(open('./profiles.json'));
  const type = env.TEST_TYPE || 'smoke';
  const profile = profiles[type];
  if (!profile) {
    throw new Error(`TEST_TYPE ${type}: must be one of ${Object.keys(profiles).join(', ')}`);
  }
  const max = Number(env.MAX_VUS || 100);
  const users = (target) => (target === 'max' ? max : Math.min(target, max));
  return {
    systemTags: ['check', 'expected_response', 'name'],
    summaryTrendStats: ['avg', 'min', 'max', 'count'],
    // Without a bound: what is counted apart.
    thresholds: Object.fromEntries([
      ...['/memorize', '/recall'].flatMap((name) => [true, false].map((as) => `http_reqs{name:${name},expected_response:${as}}`)),
      ...Object.keys(ofAnswer).map((name) => `checks{check:${name}}`),
    ].map((name) => [name, []])),
    scenarios: {
      [type]: {
        executor: 'ramping-vus',
        startVUs: users(profile.start),
        stages: profile.stages.map((s) => ({ duration: `${s.seconds}s`, target: users(s.target) })),
      },
    },
  };
}

const sentences = [
  'She prefers the early train to the coast and keeps a window seat when there is one.',
  'He asked for the invoice of March again, since the first copy went to the old address.',
  'The cat, a grey one called Luna, sleeps on the piano and is afraid of the vacuum cleaner.',
  'They moved to a smaller flat near the river after their youngest daughter left for college.',
  'Her doctor told her to walk for half an hour a day and to drink less coffee after lunch.',
  'The project starts on Monday with a review of the budget and a visit to the new warehouse.',
  'He learned to bake sourdough during the winter and now brings a loaf to every meeting.',
  'The support group meets on Thursdays in the library, and newcomers are always welcome.',
  'She is allergic to peanuts but not to almonds, and carries her medicine in the blue bag.',
  'Their anniversary is in September, and they would like to spend it in the mountains.',
  'He plays the cello in an orchestra of amateurs and practises before his children wake up.',
  'The contract ends next summer unless both sides sign the extension by the end of April.',
  'She painted a sunset over the lake and gave the picture to her sister as a present.',
  'The bicycle needs a new chain, and the shop on the corner has ordered one already.',
  'He reads two newspapers at breakfast and dislikes being called before nine in the morning.',
  'The bakery closes early on Saturdays, so the cake must be picked up before two.',
  'Her brother works on a ship and telephones from a different harbour nearly every week.',
  'They adopted a puppy from the shelter and named it Oscar after the neighbour next door.',
  'The server was moved to another rack last night, and nobody noticed an interruption.',
  'He promised to send the photographs of the wedding as soon as the album is ready.',
  'She studied biology before she turned to law, and still volunteers at the aquarium.',
  'The garden gets sun until four, which is enough for tomatoes but not for the lemon tree.',
  'His favourite soup has lentils, carrots and a little cumin, as his grandmother made it.',
  'The flight was delayed by fog, and the hotel kept the room until the next evening.',
  'She runs ten kilometres on Sundays and hopes to finish a marathon before she is forty.',
  'The workshop about pottery was fully booked, so they joined the waiting list for June.',
  'He sold the old motorcycle and bought a camera to take pictures of birds in the marshes.',
  'The school asked for volunteers who can read to the younger classes on Friday mornings.',
  'She keeps her passwords in a notebook, though her nephew offered to set up a safer way.',
  'The meeting with the architect was postponed, as the plans of the second floor changed.',
  'He speaks Portuguese with his mother, English at work, and a little Italian on holidays.',
  'Their roof was repaired after the storm, and the insurance paid for most of the tiles.',
];

let user = 0; // this user's number among those of all processes
let turn = 0;

// memorize stores a memory of about 300 bytes that no other user or turn has.
export function memorize() {
  user = user || exec.vu.idInTest;
  turn += 1;
  const from = user * 7 + turn * 5;
  const response = post(
    `${base}/memorize`,
    `${owner}"session_id":"${session}-${user}","content":"Note ${user}-${turn} of ${session}: ` +
      `${sentences[from % 32]} ${sentences[(from + turn) % 32]} ${sentences[(from + user + 9) % 32]}"}`,
    toMemorize,
  );
  const answer = checked('/memorize', response, stored);
  if (every > 0 && (user + turn) % every === 0 && answer.memory_id) {
    console.log(`A ${answer.memory_id}`);
  }
  rest(pause);
}

// recall asks for what any of the memories may say.
export function recall() {
  user = user || exec.vu.idInTest;
  turn += 1;
  const words = sentences[(user * 7 + turn * 5) % 32].split(' ', 8).join(' ');
  const response = post(`${base}/recall`, `${owner}"top_k":5,"query":${JSON.stringify(words)}}`, toRecall);
  checked('/recall', response, (body) => {
    const a = JSON.parse(body);
    return a.results && a.results[0];
  });
  rest(pause);
}

// stored reads the fields of an answer to /memorize out of its text, which costs
// half of what parsing it does, and parses it only where they are not found so.
function stored(body) {
  const memory = {
    memory_id: field(body, '"memory_id":"'),
    embedding_model: field(body, '"embedding_model":"'),
    tenant_id: field(body, '"tenant_id":"'),
    agent_id: field(body, '"agent_id":"'),
  };
  if (memory.memory_id && memory.embedding_model && memory.tenant_id && memory.agent_id) {
    return memory;
  }
  return JSON.parse(body);
}

function field(body, start) {
  const at = body.indexOf(start);
  return at < 0 ? '' : body.slice(at + start.length, body.indexOf('"', at + start.length));
}

// handleSummary tells exactly what was counted.
export function handleSummary(data) {
  console.log(`M ${JSON.stringify(data.metrics)}`);
  return {};
}

// checked checks an answer and returns the memory it has, or one without fields.
function checked(route, response, memoryOf) {
  if (response.status !== 200) {
    checkAll(null, ofStatus);
    let why = response.error;
    if (response.body) {
      why = `${why} ${response.body}`;
    }
    const said = String(why).slice(0, 500).replace(/\s+/g, ' ');
    console.log(`F ${route} ${response.status} ${response.error_code} ${said}`);
    return {};
  }
  let memory = {};
  try {
    memory = memoryOf(response.body) || {};
  } catch (e) {
    // no JSON: it has no field either
  }
  ofAnswer['memory_id exists'] = !!memory.memory_id;
  ofAnswer['embedding_model exists'] = !!memory.embedding_model;
  ofAnswer['tenant_id is correct'] = memory.tenant_id === tenant;
  ofAnswer['agent_id is correct'] = memory.agent_id === agent;
  checkAll(null, ofAnswer);
  return memory;
}
