// Every user stores four memories, then recalls once. The agent must have memories.
import { memorize, options as all, recall } from './lembra.js';

export { handleSummary } from './lembra.js';
export const options = all();

export default function () {
  if (__ITER % 5 === 4) {
    recall();
  } else {
    memorize();
  }
}
