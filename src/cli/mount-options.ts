/** The list of options behind -o, as mount(8) and fstab(5) write it. */
import * as c from '../linux/constants.js'
import { CommandError } from './errors.js'
import type { PolicyOptions } from './launching.js'

export interface ListedOptions extends PolicyOptions {
  readonly strict?: boolean
  readonly passthrough?: boolean
  readonly without?: string
  readonly debug?: string
  readonly cache?: string
  /** MOUNT_ATTR_* */
  readonly attributes: number
}

const ATTRIBUTES: ReadonlyMap<string, number> = new Map([
  ['ro', c.MOUNT_ATTR_RDONLY],
  ['nosuid', c.MOUNT_ATTR_NOSUID],
  ['nodev', c.MOUNT_ATTR_NODEV],
  ['noexec', c.MOUNT_ATTR_NOEXEC],
])

/** What takes an attribute back that stands before it in the list. */
const OPPOSITES: ReadonlyMap<string, string> = new Map([
  ['rw', 'ro'],
  ['suid', 'nosuid'],
  ['dev', 'nodev'],
  ['exec', 'noexec'],
])

const FLAGS: ReadonlyMap<string, Partial<ListedOptions>> = new Map([
  ['strict', { strict: true }],
  ['no-passthrough', { passthrough: false }],
])

const VALUES = ['breakTime', 'maxLeases', 'maxPins', 'onTimeout', 'without', 'cache', 'debug'] as const

/** `breakTime` is `break-time` in a list, as it is on the command line. */
const VALUE_NAMES: ReadonlyMap<string, (typeof VALUES)[number]> = new Map(
  VALUES.map((name) => [name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), name]),
)

/** For others than us: mount(8), systemd and the boot. */
const IGNORED =
  /^(defaults|auto|noauto|nofail|_netdev|nouser|relatime|allow_other|default_permissions|x-.*|comment=.*)?$/

/** @param list byte string; undefined is an empty one. Throws CommandError for what is not known. */
export function parseMountOptions(list = ''): ListedOptions {
  let options: ListedOptions = { attributes: 0 }
  for (const word of list.split(',')) {
    const at = word.indexOf('=')
    const value = at < 0 ? undefined : VALUE_NAMES.get(word.slice(0, at))
    const attribute = ATTRIBUTES.get(word)
    const taken = ATTRIBUTES.get(OPPOSITES.get(word) ?? '')
    const flag = FLAGS.get(word)
    if (value !== undefined) options = { ...options, [value]: word.slice(at + 1) }
    else if (attribute !== undefined) options = { ...options, attributes: options.attributes | attribute }
    else if (taken !== undefined) options = { ...options, attributes: options.attributes & ~taken }
    else if (flag !== undefined) options = { ...options, ...flag }
    else if (VALUE_NAMES.has(word)) throw new CommandError(`-o ${word}: needs a value (${word}=...)`, 2)
    else if (!IGNORED.test(word)) throw new CommandError(`-o ${word}: no such mount option (${KNOWN})`, 2)
  }
  return options
}

const KNOWN = [
  ...ATTRIBUTES.keys(),
  ...FLAGS.keys(),
  ...[...VALUE_NAMES.keys()].map((name) => `${name}=...`),
].join(', ')
