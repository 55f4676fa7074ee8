/** Reads a scenario from text. docs/LITMUS.md has the language; `formatScenario` writes it. */
import { Errno } from '../../lib/errno.js'
import {
  DEFAULT_MOUNT,
  type Expected,
  type FileSpec,
  type Line,
  type MountSpec,
  type Name,
  type Notice,
  type ProcessSpec,
  type Scenario,
  type User,
} from '../scenario.js'
import { parseAction } from './actions.js'
import { ScenarioError, Words } from './reading.js'
import {
  DEFAULT_FILE,
  EVENTS,
  LEVELS,
  MODES,
  NAME_PATTERN,
  RULE_PATTERN,
  SIGNALS,
  STATES,
  TITLE_PATTERN,
  TOLD_EVENTS,
  USERS,
} from './words.js'

/** A scenario in a template string. Wrong ones stop the program that has them. */
export function play(text: string): Scenario {
  return parseScenario(text)
}

/** @throws ScenarioError with the line, what is wrong with it, and why. */
export function parseScenario(text: string): Scenario {
  const parser = new Parser()
  for (const { number, content } of logicalLines(text)) parser.line(number, content)
  return parser.scenario()
}

/** Without comments and blank lines; an indented line in the head goes on with the one before it. */
function logicalLines(text: string): { number: number; content: string }[] {
  const lines: { number: number; content: string }[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const content = raw.replace(/(^|\s)#.*$/, '').trimEnd()
    if (content.trim() === '') continue
    const last = lines.at(-1)
    if (/^\s/.test(content) && last !== undefined && /^(claim|question|model-only)\b/.test(last.content)) {
      last.content += ` ${content.trim()}`
    } else {
      lines.push({ number: index + 1, content: content.trim() })
    }
  }
  return lines
}

class Parser {
  #name: string | null = null
  #claim: string | null = null
  #rules: string[] = []
  #question: string | null = null
  #modelOnly: string | null = null
  #mount: MountSpec = DEFAULT_MOUNT
  readonly #files: FileSpec[] = []
  readonly #processes: ProcessSpec[] = []
  readonly #lines: Line[] = []
  /** Declared or forked. */
  readonly #processNames = new Set<Name>()
  /** Given to something by a line above: whatever else is spoken of is a slip of the pen. */
  readonly #known = new Set<Name>()
  readonly #waits = new Set<Name>()

  line(number: number, content: string): void {
    const words = new Words(number, content)
    const played = this.#playLine(words)
    if (played !== null) this.#lines.push(played)
    words.end()
  }

  scenario(): Scenario {
    const missing = (what: string) => new ScenarioError(null, '', `there is no '${what}' line`)
    if (this.#name === null) throw missing('scenario')
    if (this.#claim === null) throw missing('claim')
    if (this.#rules.length === 0) throw missing('rules')
    if (this.#processes.length === 0) throw missing('process')
    return {
      name: this.#name,
      claim: this.#claim,
      rules: this.#rules,
      question: this.#question,
      modelOnly: this.#modelOnly,
      mount: this.#mount,
      files: this.#files,
      processes: this.#processes,
      lines: this.#lines,
    }
  }

  #playLine(words: Words): Line | null {
    const first = words.next('a word')
    if (first.endsWith(':')) return this.#action(words, first.slice(0, -1))
    if (words.peek() === '->' || words.peek() === 'still') return this.#ofWait(words, first)
    switch (first) {
      case 'told':
        return told(words)
      case 'lease':
        return this.#sight(words)
      case 'alive':
      case 'dead':
        return { kind: 'alive', process: this.#process(words), isAlive: first === 'alive' }
      case 'pass':
        return { kind: 'time', passMs: words.count('milliseconds') }
      case 'deadline':
        return { kind: 'deadline' }
      default:
        this.#head(words, first)
        return null
    }
  }

  // The head

  #head(words: Words, key: string): void {
    if (this.#lines.length > 0) {
      words.fail(`'${key}' begins no line of a play: 'PROCESS: ACTION', 'told', 'lease', 'deadline', ...`)
    }
    switch (key) {
      case 'scenario':
        this.#name = words.next('a name')
        if (!TITLE_PATTERN.test(this.#name))
          words.fail("a scenario's name is 'topic/claim', in small letters")
        return
      case 'claim':
        this.#claim = words.rest('a sentence')
        return
      case 'question':
        this.#question = words.rest('a sentence')
        return
      case 'model-only':
        this.#modelOnly = words.rest('a reason')
        return
      case 'rules':
        while (words.peek() !== null) this.#rules.push(ruleName(words))
        return
      case 'break-time':
        this.#mount = { ...this.#mount, breakTimeMs: words.count('milliseconds') }
        return
      case 'on-timeout':
        this.#mount = { ...this.#mount, onTimeout: words.oneOf(['revoke', 'kill'] as const) }
        return
      case 'limits':
        this.#limits(words)
        return
      case 'file':
        this.#files.push(this.#file(words))
        return
      case 'process':
        this.#processes.push(this.#newProcess(words))
        return
      default:
        words.fail(`'${key}' begins no line: 'PROCESS: ACTION' has a colon`)
    }
  }

  #limits(words: Words): void {
    while (words.peek() !== null) {
      const which = words.oneOf(['leases', 'pins'] as const)
      const count = words.count('a number')
      this.#mount = { ...this.#mount, [which === 'leases' ? 'leaseCountMax' : 'pinCountMax']: count }
    }
  }

  #file(words: Words): FileSpec {
    const name = newName(words)
    if (this.#files.some((file) => file.name === name)) words.fail(`there is a file '${name}' already`)
    let spec: FileSpec = { name, ...DEFAULT_FILE }
    for (let word = words.peek(); word !== null; word = words.peek()) {
      if (/^\d/.test(word)) {
        spec = { ...spec, sizeBytes: words.count('a size') }
        words.expect('bytes')
      } else if (word === 'of') {
        words.next('of')
        spec = { ...spec, owner: words.oneOf(USERS) }
      } else {
        words.expect('mode')
        spec = { ...spec, mode: words.octal() }
      }
    }
    return spec
  }

  #newProcess(words: Words): ProcessSpec {
    const name = newName(words)
    if (this.#processNames.has(name)) words.fail(`there is a process '${name}' already`)
    this.#processNames.add(name)
    const user: User = words.oneOf(USERS)
    return { name, user }
  }

  // The play

  #process(words: Words): Name {
    const name = words.next('a process')
    if (!this.#processNames.has(name)) words.fail(`there is no process '${name}'`)
    return name
  }

  #action(words: Words, process: Name): Line {
    if (!this.#processNames.has(process)) words.fail(`there is no process '${process}'`)
    let name: Name | null = null
    if (words.peek(1) === '=') {
      name = newName(words)
      words.expect('=')
    }
    const action = parseAction(words, name, this.#files)
    const expect = expected(words)
    const used = usedNames(action)
    // To speak of what is not there is a mistake, unless its failing is the point.
    if (expect?.is !== 'failed' && expect !== null) {
      for (const one of used.names) {
        if (!this.#known.has(one)) words.fail(`nothing above is called '${one}'`)
      }
      for (const one of used.processes) {
        if (!this.#processNames.has(one)) words.fail(`there is no process '${one}'`)
      }
    }
    if (action.do === 'fork') {
      if (this.#processNames.has(action.as)) words.fail(`there is a process '${action.as}' already`)
      this.#processNames.add(action.as)
    } else if ('as' in action) {
      this.#known.add(action.as)
    }
    if (name !== null) this.#waits.add(name)
    return { kind: 'action', process, action, expect, waitsAs: name }
  }

  #ofWait(words: Words, wait: Name): Line {
    if (!this.#waits.has(wait)) words.fail(`no line above is called '${wait}' ('${wait} = ...')`)
    if (words.peek() === 'still') {
      words.expect('still')
      words.expect('waits')
      return { kind: 'still-waits', wait }
    }
    const expect = expected(words)
    if (expect === null || expect.is === 'waits') words.fail(`say what comes of it, or '${wait} still waits'`)
    return { kind: 'finishes', wait, expect }
  }

  #sight(words: Words): Line {
    const lease = words.next('a lease')
    if (!this.#known.has(lease)) words.fail(`nothing above is called '${lease}'`)
    if (words.peek() === 'none') {
      words.next('none')
      return { kind: 'sight', lease, expect: { state: 'none' } }
    }
    let expect: Extract<Line, { kind: 'sight' }>['expect'] = {}
    for (let word = words.peek(); word !== null; word = words.peek()) {
      words.next('')
      const state = STATES.find((one) => one === word)
      const level = LEVELS.find((one) => one === word)
      const mode = MODES.find((one) => one === word)
      if (state !== undefined) expect = { ...expect, state }
      else if (level !== undefined) expect = { ...expect, level }
      else if (mode !== undefined) expect = { ...expect, mode }
      else if (word === 'notify-only') expect = { ...expect, isNotifyOnly: true }
      else if (word === 'with-say') expect = { ...expect, isNotifyOnly: false }
      else if (word === 'pins') expect = { ...expect, pinCount: words.count('a number') }
      else if (word === 'owners') expect = { ...expect, owners: this.#owners(words) }
      else words.fail(`'${word}' is nothing one sees of a lease`)
    }
    return { kind: 'sight', lease, expect }
  }

  #owners(words: Words): Name[] {
    if (words.peek() === 'nobody') {
      words.next('nobody')
      return []
    }
    const owners: Name[] = []
    while (words.peek() !== null) owners.push(this.#process(words))
    return owners.sort()
  }
}

function newName(words: Words): Name {
  const name = words.next('a name')
  if (!NAME_PATTERN.test(name)) words.fail(`'${name}' is no name: letters, digits, - and _, a letter first`)
  return name
}

function ruleName(words: Words): string {
  const rule = words.next('a rule')
  if (!RULE_PATTERN.test(rule)) words.fail(`'${rule}' is no rule: they are called L1, B2, X3, P4, R1, ...`)
  return rule
}

/** Behind an arrow; without one it has to succeed. */
function expected(words: Words): Expected | null {
  if (words.peek() === null) return { is: 'succeeds' }
  words.expect('->')
  const word = words.next('an outcome')
  switch (word) {
    case 'anything':
      return null
    case 'waits':
      return { is: 'waits' }
    case 'killed':
      return { is: 'killed', signal: words.next('a signal') }
    case 'ok': {
      if (words.peek() === null) return { is: 'succeeds' }
      const value = words.rest('a value')
      return { is: 'ok', value: value === 'nothing' ? '' : value }
    }
    default:
      if (!Object.hasOwn(Errno, word)) {
        words.fail(`'${word}' is no outcome: ok, ok VALUE, waits, killed SIGNAL, anything, or an errno`)
      }
      return { is: 'failed', errno: word }
  }
}

function told(words: Words): Line {
  let only: readonly string[] | null = TOLD_EVENTS
  if (words.peek() === 'all') {
    words.next('all')
    only = null
  } else if (words.peek() === 'only') {
    words.next('only')
    only = words.next('kinds of events').split('+')
    for (const kind of only) if (!EVENTS.includes(kind)) words.fail(`'${kind}' is no kind of event`)
  }
  const rest = words.rest("what is told, or 'nothing'")
  const notices = rest === 'nothing' ? [] : rest.split(/\s*,\s*/).map((one) => notice(words, one))
  return { kind: 'told', notices, only }
}

function notice(words: Words, text: string): Notice {
  const [who = '', what = '', third, fourth, ...more] = text.trim().split(/\s+/)
  if (more.length > 0)
    words.fail(`'${text}': one notice is 'LEASE EVENT [by PROCESS]' or 'PROCESS SIGNAL VALUE'`)
  const signal = SIGNALS.find((one) => one === what)
  if (signal !== undefined) {
    if (third === undefined || !/^\d+$/.test(third) || fourth !== undefined) {
      words.fail(`'${text}': a signal comes with a number`)
    }
    return { kind: 'signal', process: who, signal, value: Number(third) }
  }
  if (!EVENTS.includes(what)) words.fail(`'${what}' is no event and no signal`)
  if (third === undefined) return { kind: 'event', event: what, lease: who, offender: null }
  if (third !== 'by' || fourth === undefined) words.fail(`'${text}': who did it is said with 'by PROCESS'`)
  return { kind: 'event', event: what, lease: who, offender: fourth }
}

function usedNames(action: ReturnType<typeof parseAction>): { names: Name[]; processes: Name[] } {
  const names: Name[] = []
  const processes: Name[] = []
  if ('fd' in action) names.push(action.fd)
  if ('mapping' in action) names.push(action.mapping)
  if ('through' in action) names.push(action.through)
  if ('pin' in action) names.push(action.pin)
  if ('lease' in action && action.lease !== null) names.push(action.lease)
  if (action.do === 'truncate' && 'fd' in action.target) names.push(action.target.fd)
  if (action.do === 'copy') names.push(action.from, action.to)
  if (action.do === 'send') processes.push(action.to)
  if (action.do === 'kill' || action.do === 'pins') processes.push(action.process)
  return { names, processes }
}
