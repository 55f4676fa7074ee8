/** Which scenarios are meant by the words of the command line. */
import { existsSync, readFileSync } from 'node:fs'
import { parseScenario, ScenarioError } from './language/index.js'
import { RULE_PATTERN } from './language/words.js'
import type { Scenario } from './scenario.js'
import { SCENARIOS } from './scenarios/index.js'

/** What the user asked for cannot be done; its message is for the user. */
export class LitmusError extends Error {
  override readonly name = 'LitmusError'
}

/** Names, topics, rules and files; no word at all is every scenario. Each is played once, in the order of the index. */
export function selectScenarios(words: readonly string[]): readonly Scenario[] {
  if (words.length === 0) return SCENARIOS
  const selected = words.flatMap(selectByWord)
  return [...new Set(selected)]
}

function selectByWord(word: string): readonly Scenario[] {
  const found = SCENARIOS.filter(
    ({ name, rules }) => name === word || name.startsWith(`${word}/`) || rules.includes(word),
  )
  if (found.length > 0) return found
  if (RULE_PATTERN.test(word)) throw new LitmusError(`no scenario shows a rule ${word}`)
  if (existsSync(word)) return [readScenario(word)]
  throw new LitmusError(`'${word}' is no scenario, topic, rule or file: see 'holdfast litmus --list'`)
}

function readScenario(path: string): Scenario {
  try {
    return parseScenario(readFileSync(path, 'utf8'))
  } catch (error) {
    if (error instanceof ScenarioError) throw new LitmusError(`${path}: ${error.message}`)
    throw error
  }
}
