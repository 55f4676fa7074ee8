/** `holdfast litmus`: a program of its own, so that no other command has to load the lab. */
import { Command, CommanderError, InvalidArgumentError } from '@commander-js/extra-typings'
import { LinuxError } from '../linux/error.js'
import { writeAll } from '../linux/files.js'
import { runRandom } from './differential/run.js'
import { exploreAll, exploredJson, formatExplored, formatViolations } from './explore/report.js'
import { formatScenario } from './language/index.js'
import { ModelMachine } from './model/index.js'
import {
  formatFailures,
  formatList,
  formatSummary,
  hasFailed,
  jsonOf,
  playAll,
  TableWriter,
} from './report.js'
import type { Scenario } from './scenario.js'
import { LitmusError, selectScenarios } from './select.js'
import { modelStage, mountStages, randomWorlds } from './worlds.js'

const EXAMPLES = `
Examples:
  sudo holdfast litmus                      every scenario, in the model and on mounts
  holdfast litmus --model breaking B5       a topic and a rule, in the model alone
  holdfast litmus --show pins/pins-count    the text of a scenario, to copy and change
  holdfast litmus ./mine.litmus             a scenario of your own
  holdfast litmus --explore breaking        every order of its lines, with a death at any moment
  sudo holdfast litmus --random --minutes 5 random histories, the same in both worlds?

docs/LITMUS.md has the language. Exit code 1: something did not come out as written.`

interface Options {
  readonly model?: true
  readonly json?: true
  readonly list?: true
  readonly show?: true
  readonly explore?: true
  readonly deaths?: number
  readonly deadlines?: true
  readonly maxStates?: number
  readonly random?: true
  readonly minutes?: number
  readonly seed?: number
}

const WHAT_TO_DO = ['model', 'list', 'show', 'explore', 'random'] as const
const EXPLORING = { deaths: '--deaths', deadlines: '--deadlines', maxStates: '--max-states' } as const
const DRAWING = { minutes: '--minutes', seed: '--seed' } as const

/** An option that changes nothing would leave somebody in the belief that it did. */
function refuseWhatIsIgnored(words: readonly string[], options: Options): void {
  const [one, other] = WHAT_TO_DO.filter((name) => options[name] === true)
  if (other !== undefined) throw new LitmusError(`--${one} and --${other} do not go together`)
  const needs = (names: Partial<Record<keyof Options, string>>, wanted: string) => {
    for (const [name, option] of Object.entries(names)) {
      if (options[name as keyof Options] !== undefined) throw new LitmusError(`${option} goes with ${wanted}`)
    }
  }
  if (options.explore !== true) needs(EXPLORING, '--explore')
  if (options.random !== true) needs(DRAWING, '--random')
  else if (words.length > 0)
    throw new LitmusError(`--random draws its histories itself: what is '${words[0]}' for?`)
}

function print(text: string): void {
  writeAll(1, Buffer.from(text.endsWith('\n') ? text : `${text}\n`))
}

async function litmus(words: readonly string[], options: Options): Promise<void> {
  refuseWhatIsIgnored(words, options)
  if (options.random === true) return await differential(options)
  const scenarios = selectScenarios(words)
  if (options.show === true) {
    print(scenarios.map(formatScenario).join('\n'))
    return
  }
  if (options.list === true) {
    print(options.json === true ? JSON.stringify(scenarios, null, 2) : formatList(scenarios))
    return
  }
  if (options.explore === true) {
    exploreScenarios(scenarios, options)
    return
  }
  const stages = [modelStage(), ...(options.model === true ? [] : await mountStages())]
  const table = options.json === true ? null : new TableWriter(scenarios, stages)
  if (table !== null) print(table.head())
  const rows = await playAll(scenarios, stages, (row) => {
    if (table !== null) print(table.row(row))
  })
  if (hasFailed(rows)) process.exitCode = 1
  if (table === null) {
    print(JSON.stringify(jsonOf(rows, stages), null, 2))
    return
  }
  print(`\n${formatSummary(rows, stages)}`)
  const failures = formatFailures(rows)
  if (failures !== '') print(`\n${failures}`)
}

/** Progress goes to stderr, so that the result can be piped. */
function exploreScenarios(scenarios: readonly Scenario[], options: Options): void {
  const explored = exploreAll(scenarios, {
    deathCountMax: options.deaths ?? 1,
    anyDeadline: options.deadlines === true,
    stateCountMax: options.maxStates ?? STATE_COUNT_MAX,
    makeMachine: (scenario) => new ModelMachine(scenario),
    nowMs: () => Date.now(),
    progress: (text) => writeAll(2, Buffer.from(`${text}\n`)),
  })
  if (explored.some(({ exploration }) => exploration.violation !== null)) process.exitCode = 1
  if (options.json === true) {
    print(JSON.stringify(exploredJson(explored), null, 2))
    return
  }
  print(formatExplored(explored))
  const violations = formatViolations(explored)
  if (violations !== '') print(`\n${violations}`)
}

const STATE_COUNT_MAX = 200_000

function countOf(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number.parseInt(text, 10)
}

function positiveCountOf(text: string): number {
  if (countOf(text) > 0) return countOf(text)
  throw new InvalidArgumentError('With less than one there is nothing to see.')
}

function minutesOf(text: string): number {
  const minutes = Number(text)
  if (Number.isFinite(minutes) && minutes > 0) return minutes
  throw new InvalidArgumentError('It must be a number of minutes above 0.')
}

/** Until time is up, or the model and a mount differ. */
async function differential({ minutes = 1, seed, json }: Options): Promise<void> {
  const first = seed ?? Date.now() % 1_000_000
  const makers = await randomWorlds()
  try {
    const untilMs = performance.now() + minutes * 60_000
    const told = (line: string) => writeAll(2, Buffer.from(`${line}\n`))
    const run = await runRandom({ makers, seed: first, untilMs, shrinkMs: SHRINK_MS, told })
    if (run.failure !== null) process.exitCode = 1
    if (json === true) {
      print(JSON.stringify({ seed: first, ...run }, null, 2))
      return
    }
    print(`${run.histories} histories of ${run.steps} steps, from seed ${first} on`)
    if (run.failure !== null) print(`\n${run.failure}`)
  } finally {
    for (const { maker } of makers) await maker.close()
  }
}

const SHRINK_MS = 300_000

function makeProgram() {
  return new Command('holdfast litmus')
    .description(
      'play small scenarios of several processes, and compare what comes of each line with the rules',
    )
    .argument('[name...]', 'a scenario, a topic, a rule (B5) or a file; all if none is given')
    .option('--model', 'in the model alone: no mount, no root, no waiting')
    .option('--list', 'say what there is, and play nothing')
    .option('--show', 'print the text of the scenarios, and play nothing')
    .option('--explore', 'play every order of the lines on the model, with an auditor after each step')
    .option('--deaths <n>', 'with --explore: how many processes may be killed, at any moment (1)', countOf)
    .option('--deadlines', 'with --explore: a deadline may pass at any moment, not only when all wait')
    .option(
      '--max-states <n>',
      'with --explore: stop a scenario after this many states (200000)',
      positiveCountOf,
    )
    .option('--json', 'print JSON')
    .option('--random', 'play random histories in the model and on mounts, until they differ')
    .option('--minutes <n>', 'with --random: for how long (1)', minutesOf)
    .option('--seed <n>', 'with --random: the history to begin with', countOf)
    .addHelpText('after', EXAMPLES)
    .action(litmus)
}

/** What went wrong for the user is one line; what is wrong with us keeps its stack. */
function explain(error: unknown): string {
  if (error instanceof LitmusError || error instanceof LinuxError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

async function main(): Promise<void> {
  const program = makeProgram()
  program.exitOverride()
  program.configureOutput({
    outputError: (text, write) => write(text.replace(/^error: /, 'holdfast: litmus: ')),
  })
  await program.parseAsync()
}

main().catch((error: unknown) => {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2
  } else {
    process.exitCode = error instanceof LitmusError ? 2 : 1
    writeAll(2, Buffer.from(`holdfast: litmus: ${explain(error)}\n`))
  }
})
