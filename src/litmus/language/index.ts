/** The language of the scenarios (docs/LITMUS.md). */
export { formatAction, formatExpected, formatLine, formatNotice, formatScenario } from './format.js'
export { parseScenario, play } from './parse.js'
export { ScenarioError } from './reading.js'
