/** What a process does, from words. One case for each verb, in the order of docs/LITMUS.md. */
import {
  type Action,
  type Bytes,
  type FileSpec,
  type LeaseTerms,
  type Name,
  WHOLE_FILE,
} from '../scenario.js'
import type { Words } from './reading.js'
import { ACCESS, LEVELS, MODES, OPEN_FLAGS, RANGE_CHANGES, SIGNALS, USERS } from './words.js'

/** @param name What stands before `=`. */
export function parseAction(words: Words, name: Name | null, files: readonly FileSpec[]): Action {
  const verb = words.next('an action')
  const as = () => name ?? words.fail(`what '${verb}' gives needs a name: 'NAME = ${verb} ...'`)
  const file = () => {
    const found = words.next('a file')
    return files.some((one) => one.name === found) ? found : words.fail(`there is no file '${found}'`)
  }
  const fd = () => words.next('a descriptor')
  const range = RANGE_CHANGES.find((change) => change === verb)
  if (range !== undefined) return { do: 'fallocate', change: range, fd: fd(), bytes: closedBytes(words) }
  switch (verb) {
    case 'open':
      return { do: 'open', file: file(), flags: openFlags(words), as: as() }
    case 'dup':
      return { do: 'dup', fd: fd(), as: as() }
    case 'send': {
      const sent = fd()
      words.expect('to')
      const to = words.next('a process')
      words.expect('as')
      return { do: 'send', fd: sent, to, as: words.next('a name') }
    }
    case 'close':
      return { do: 'close', fd: fd() }
    case 'map':
      return { do: 'map', fd: fd(), bytes: bytes(words), as: as() }
    case 'unmap':
      return { do: 'unmap', mapping: words.next('a mapping') }
    case 'touch':
      return { do: 'touch', mapping: words.next('a mapping'), offset: words.count('an offset') }
    case 'lease':
      return { do: 'lease', fd: fd(), ...leaseTerms(words), bytes: bytes(words), as: as() }
    case 'change':
      return { do: 'change', fd: fd(), lease: words.next('a lease'), ...leaseTerms(words) }
    case 'release':
      return { do: 'release', fd: fd(), lease: words.accept('all') ? null : words.next("a lease or 'all'") }
    case 'own':
      return own(words, fd())
    case 'context':
      return { do: 'context', as: as() }
    case 'pin':
      return {
        do: 'pin',
        through: words.next('a descriptor'),
        lease: words.next('a lease'),
        bytes: bytes(words),
        as: as(),
      }
    case 'unpin':
      return { do: 'unpin', through: words.next('a descriptor'), pin: words.next('a pin') }
    case 'truncate':
      return { do: 'truncate', target: { file: file() }, sizeBytes: words.count('a size') }
    case 'ftruncate':
      return { do: 'truncate', target: { fd: fd() }, sizeBytes: words.count('a size') }
    case 'allocate':
      return { do: 'allocate', fd: fd(), bytes: closedBytes(words) }
    case 'write':
    case 'read':
      return { do: verb, fd: fd(), offset: words.count('an offset'), countBytes: words.count('a number') }
    case 'copy': {
      const from = fd()
      const fromOffset = words.count('an offset')
      words.expect('to')
      const to = fd()
      const toOffset = words.count('an offset')
      return { do: 'copy', from, fromOffset, to, toOffset, countBytes: words.count('a number') }
    }
    case 'chmod':
      return { do: 'chmod', file: file(), mode: words.octal() }
    case 'chown':
      return { do: 'chown', file: file(), owner: words.oneOf(USERS) }
    case 'rename':
    case 'unlink':
      return { do: verb, file: file() }
    case 'query': {
      const asked = fd()
      const change = words.oneOf(['truncate', 'punch', 'zero'] as const)
      return { do: 'query', fd: asked, change, bytes: bytes(words) }
    }
    case 'poll':
      return { do: 'poll', fd: fd() }
    case 'revoke':
      return { do: 'revoke', lease: words.next('a lease'), kill: words.accept('kill') }
    case 'pins':
      return { do: 'pins', process: words.next('a process') }
    case 'become':
      return { do: 'become', user: words.oneOf(USERS) }
    case 'fork':
      return { do: 'fork', as: words.next('a process') }
    case 'exec':
    case 'exit':
      return { do: verb }
    case 'kill':
      return {
        do: 'kill',
        process: words.next('a process'),
        signal: words.oneOf([...SIGNALS, 'SIGCONT'] as const),
      }
    default:
      return words.fail(`no process can '${verb}'`)
  }
}

function openFlags(words: Words) {
  const flags: (typeof OPEN_FLAGS)[number][] = []
  while (words.peek() !== null && words.peek() !== '->') flags.push(words.oneOf(OPEN_FLAGS))
  if (flags.filter((flag) => ACCESS.includes(flag)).length !== 1) {
    words.fail(`a file is opened with one of ${ACCESS.join(', ')}`)
  }
  return flags
}

/** Level, mode and the rest in any order; a lease is normal, and does not wait, unless it says so. */
function leaseTerms(words: Words): LeaseTerms {
  let mode: LeaseTerms['mode'] | null = null
  let level: LeaseTerms['level'] = 'normal'
  let whenBusy: LeaseTerms['whenBusy'] = 'fail'
  let breakTimeMs = 0
  for (;;) {
    const word = words.peek()
    const asMode = MODES.find((one) => one === word)
    const asLevel = LEVELS.find((one) => one === word)
    if (asMode !== undefined) mode = asMode
    else if (asLevel !== undefined) level = asLevel
    else if (word === 'wait' || word === 'start') whenBusy = word
    else if (word !== 'break-time') break
    words.next('')
    if (word === 'break-time') breakTimeMs = words.count('milliseconds')
  }
  return { mode: mode ?? words.fail("a lease is 'read' or 'write'"), level, whenBusy, breakTimeMs }
}

function own(words: Words, fd: Name): Action {
  const lease = words.next('a lease')
  const operation = words.oneOf(['add', 'remove'] as const)
  const who = words.oneOf(['self', 'parent'] as const)
  const hasSignal = words.peek() !== null && words.peek() !== '->'
  const signal = hasSignal ? words.oneOf(SIGNALS) : null
  const value = hasSignal ? words.count('the value of the signal') : 0
  return { do: 'own', fd, lease, who, operation, signal, value }
}

/** `0..4096` are 4096 bytes, `4096..` goes to the end; nothing is the whole file. */
function bytes(words: Words): Bytes {
  const word = words.peek()
  if (word === null || word === '->') return WHOLE_FILE
  words.next('')
  const found = /^(\d{1,15})\.\.(\d{1,15})?$/.exec(word)
  if (found === null) words.fail(`'${word}' are no bytes, as 0..4096 or 4096.. are`)
  const end = found[2] === undefined ? null : Number(found[2])
  return { start: Number(found[1]), end }
}

function closedBytes(words: Words): Bytes {
  const found = bytes(words)
  return found.end === null ? words.fail('these bytes need an end, as 0..4096 has') : found
}
