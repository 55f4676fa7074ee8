/** A scenario as the text that `parseScenario` reads. */
import {
  type Action,
  type Bytes,
  DEFAULT_MOUNT,
  type Expected,
  type FileSpec,
  type LeaseTerms,
  type Line,
  type Notice,
  type Scenario,
} from '../scenario.js'
import { DEFAULT_FILE, TOLD_EVENTS } from './words.js'

/** How far the words of a line are pushed to the right, so that arrows stand below each other. */
const ARROW_COLUMN = 46

export function formatScenario(scenario: Scenario): string {
  const names = scenario.lines.map((line) => (line.kind === 'action' ? line.process.length : 0))
  const nameWidth = Math.max(0, ...names)
  const lines = scenario.lines.map((line) => formatLine(line, nameWidth))
  return `${[...headLines(scenario), '', ...lines].join('\n')}\n`
}

function headLines(scenario: Scenario): string[] {
  const { breakTimeMs, onTimeout, leaseCountMax, pinCountMax } = scenario.mount
  const hasLimits = leaseCountMax !== DEFAULT_MOUNT.leaseCountMax || pinCountMax !== DEFAULT_MOUNT.pinCountMax
  return [
    `scenario ${scenario.name}`,
    `claim ${scenario.claim}`,
    `rules ${scenario.rules.join(' ')}`,
    ...(scenario.question === null ? [] : [`question ${scenario.question}`]),
    ...(scenario.modelOnly === null ? [] : [`model-only ${scenario.modelOnly}`]),
    ...(breakTimeMs === DEFAULT_MOUNT.breakTimeMs ? [] : [`break-time ${breakTimeMs}`]),
    ...(onTimeout === DEFAULT_MOUNT.onTimeout ? [] : [`on-timeout ${onTimeout}`]),
    ...(hasLimits ? [`limits leases ${leaseCountMax} pins ${pinCountMax}`] : []),
    ...scenario.files.map(formatFile),
    ...scenario.processes.map(({ name, user }) => `process ${name} ${user}`),
  ]
}

function formatFile({ name, sizeBytes, owner, mode }: FileSpec): string {
  const size = sizeBytes === DEFAULT_FILE.sizeBytes ? '' : ` ${sizeBytes} bytes`
  const user = owner === DEFAULT_FILE.owner ? '' : ` of ${owner}`
  const bits = mode === DEFAULT_FILE.mode ? '' : ` mode ${mode.toString(8)}`
  return `file ${name}${size}${user}${bits}`
}

/** @param nameWidth How long the names of processes get. */
export function formatLine(line: Line, nameWidth = 0): string {
  switch (line.kind) {
    case 'action': {
      const { process, action, waitsAs, expect } = line
      const words = `${`${process}:`.padEnd(nameWidth + 1)}  ${formatAction(action, waitsAs)}`
      if (expect?.is === 'succeeds') return words
      return `${words.padEnd(ARROW_COLUMN)} -> ${expect === null ? 'anything' : formatExpected(expect)}`
    }
    case 'finishes':
      return `${line.wait.padEnd(ARROW_COLUMN)} -> ${formatExpected(line.expect)}`
    case 'still-waits':
      return `${line.wait} still waits`
    case 'told':
      return formatTold(line)
    case 'sight':
      return formatSight(line)
    case 'alive':
      return `${line.isAlive ? 'alive' : 'dead'} ${line.process}`
    case 'time':
      return `pass ${line.passMs}`
    case 'deadline':
      return 'deadline'
  }
}

/** As it stands behind an arrow. */
export function formatExpected(outcome: Expected): string {
  switch (outcome.is) {
    case 'succeeds':
      return 'ok'
    case 'ok':
      return `ok ${outcome.value === '' ? 'nothing' : outcome.value}`
    case 'failed':
      return outcome.errno
    case 'waits':
      return 'waits'
    case 'killed':
      return `killed ${outcome.signal}`
  }
}

function formatBytes({ start, end }: Bytes): string {
  return start === 0 && end === null ? '' : ` ${start}..${end ?? ''}`
}

function formatTerms({ mode, level, whenBusy, breakTimeMs }: LeaseTerms): string {
  const busy = whenBusy === 'fail' ? '' : ` ${whenBusy}`
  return `${level} ${mode}${busy}${breakTimeMs === 0 ? '' : ` break-time ${breakTimeMs}`}`
}

export function formatAction(action: Action, waitsAs: string | null = null): string {
  const words = wordsOf(action)
  const name = 'as' in action && action.do !== 'send' && action.do !== 'fork' ? action.as : waitsAs
  return name === null ? words : `${name} = ${words}`
}

function wordsOf(action: Action): string {
  switch (action.do) {
    case 'open':
      return `open ${action.file} ${action.flags.join(' ')}`
    case 'dup':
    case 'close':
    case 'poll':
      return `${action.do} ${action.fd}`
    case 'send':
      return `send ${action.fd} to ${action.to} as ${action.as}`
    case 'map':
      return `map ${action.fd}${formatBytes(action.bytes)}`
    case 'unmap':
      return `unmap ${action.mapping}`
    case 'touch':
      return `touch ${action.mapping} ${action.offset}`
    case 'lease':
      return `lease ${action.fd} ${formatTerms(action)}${formatBytes(action.bytes)}`
    case 'change':
      return `change ${action.fd} ${action.lease} ${formatTerms(action)}`
    case 'release':
      return `release ${action.fd} ${action.lease ?? 'all'}`
    case 'own': {
      const { fd, lease, who, operation, signal, value } = action
      return `own ${fd} ${lease} ${operation} ${who}${signal === null ? '' : ` ${signal} ${value}`}`
    }
    case 'pin':
      return `pin ${action.through} ${action.lease}${formatBytes(action.bytes)}`
    case 'unpin':
      return `unpin ${action.through} ${action.pin}`
    case 'truncate':
      return 'fd' in action.target
        ? `ftruncate ${action.target.fd} ${action.sizeBytes}`
        : `truncate ${action.target.file} ${action.sizeBytes}`
    case 'fallocate':
      return `${action.change} ${action.fd} ${action.bytes.start}..${action.bytes.end ?? ''}`
    case 'allocate':
      return `allocate ${action.fd} ${action.bytes.start}..${action.bytes.end ?? ''}`
    case 'write':
    case 'read':
      return `${action.do} ${action.fd} ${action.offset} ${action.countBytes}`
    case 'copy': {
      const { from, fromOffset, to, toOffset, countBytes } = action
      return `copy ${from} ${fromOffset} to ${to} ${toOffset} ${countBytes}`
    }
    case 'chmod':
      return `chmod ${action.file} ${action.mode.toString(8)}`
    case 'chown':
      return `chown ${action.file} ${action.owner}`
    case 'rename':
    case 'unlink':
      return `${action.do} ${action.file}`
    case 'query':
      return `query ${action.fd} ${action.change}${formatBytes(action.bytes)}`
    case 'revoke':
      return `revoke ${action.lease}${action.kill ? ' kill' : ''}`
    case 'pins':
      return `pins ${action.process}`
    case 'become':
      return `become ${action.user}`
    case 'fork':
      return `fork ${action.as}`
    case 'kill':
      return `kill ${action.process} ${action.signal}`
    case 'context':
    case 'exec':
    case 'exit':
      return action.do
  }
}

export function formatNotice(notice: Notice): string {
  if (notice.kind === 'signal') return `${notice.process} ${notice.signal} ${notice.value}`
  return `${notice.lease} ${notice.event}${notice.offender === null ? '' : ` by ${notice.offender}`}`
}

function formatTold({ notices, only }: Extract<Line, { kind: 'told' }>): string {
  const which = only === null ? ' all' : only.join() === TOLD_EVENTS.join() ? '' : ` only ${only.join('+')}`
  return `told${which} ${notices.length === 0 ? 'nothing' : notices.map(formatNotice).join(', ')}`
}

function formatSight({ lease, expect }: Extract<Line, { kind: 'sight' }>): string {
  const words: string[] = ['lease', lease]
  if (expect.state !== undefined) words.push(expect.state)
  if (!('state' in expect && expect.state === 'none')) {
    const { level, mode, isNotifyOnly, pinCount, owners } = expect
    if (level !== undefined) words.push(level)
    if (mode !== undefined) words.push(mode)
    if (isNotifyOnly !== undefined) words.push(isNotifyOnly ? 'notify-only' : 'with-say')
    if (pinCount !== undefined) words.push('pins', String(pinCount))
    if (owners !== undefined) words.push('owners', ...(owners.length === 0 ? ['nobody'] : owners))
  }
  return words.join(' ')
}
