// Every user stores one memory after another.
import { memorize, options as all } from './lembra.js';

export { handleSummary } from './lembra.js';
export const options = all();
export default memorize;
