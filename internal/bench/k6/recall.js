// Every user recalls, time and again. The agent must have memories.
import { options as all, recall } from './lembra.js';

export { handleSummary } from './lembra.js';
export const options = all();
export default recall;
