/** `holdfast doctor`: what this machine can do, and what follows from it. Changes nothing. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { release } from 'node:os'
import { FEATURES, type FuseAbility, probeFuse, raiseFileLimit, removeDead } from '../daemon/main.js'
import { findFusermount, needsFusermount } from '../linux/fusermount.js'
import { readMounts } from '../linux/mounts.js'
import { readStatus } from '../linux/processes.js'
import { explain } from './errors.js'
import { print, printJson } from './output.js'

type Verdict = 'ok' | 'note' | 'fail'

interface Finding {
  readonly what: string
  readonly value: string
  readonly verdict: Verdict
  /** What follows from it. */
  readonly means: string
}

const CAP_SYS_ADMIN = 1n << 21n

export function doctor(options: { readonly json?: boolean | undefined }): void {
  removeDead()
  const findings = [
    kernel(),
    ...fuse(),
    privileges(),
    ...fusermount(),
    requestTimeout(),
    cgroup(),
    openFiles(),
  ]
  if (options.json === true) printJson(findings)
  else
    for (const { what, value, verdict, means } of findings)
      print(`${verdict.padEnd(4)}  ${what}: ${value}: ${means}`)
  if (findings.some(({ verdict }) => verdict === 'fail')) process.exitCode = 1
}

function kernel(): Finding {
  const version = release()
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  const isOld = major < 5 || (major === 5 && minor < 4)
  return {
    what: 'kernel',
    value: version,
    verdict: isOld ? 'fail' : 'ok',
    means: isOld ? 'too old: Holdfast needs Linux 5.4 (FUSE 7.31)' : 'new enough',
  }
}

function fuse(): Finding[] {
  let ability: FuseAbility | null
  try {
    ability = probeFuse()
  } catch (error) {
    return [{ what: 'FUSE', value: 'not usable', verdict: 'fail', means: explain(error) }]
  }
  if (ability === null) {
    return [
      {
        what: 'FUSE',
        value: 'no answer',
        verdict: 'fail',
        means: 'the kernel did not start the protocol within 2 s',
      },
    ]
  }
  return [
    { what: 'FUSE', value: `protocol ${ability.protocol}`, verdict: 'ok', means: 'mounting works' },
    features(ability),
    ...(needsFusermount() ? [] : [passthrough(ability)]),
  ]
}

/** The names are those of --without. */
function features({ features }: FuseAbility): Finding {
  const missing = FEATURES.filter(({ name }) => !features.has(name))
  return {
    what: 'FUSE features',
    value: [...features].join(', '),
    verdict: missing.length === 0 ? 'ok' : 'note',
    means:
      missing.length === 0
        ? 'all that Holdfast uses'
        : missing.map(({ name, linux, without }) => `no ${name} (Linux ${linux}): ${without}`).join('; '),
  }
}

function passthrough(ability: FuseAbility): Finding {
  const has = ability.features.has('passthrough')
  return {
    what: 'passthrough',
    value: has ? 'yes' : 'no',
    verdict: has ? 'ok' : 'note',
    means: has
      ? 'reads, writes and mappings go straight to the backing file'
      : 'reads and writes go through the daemon and are slower; Linux 6.9 and root are needed for better',
  }
}

function privileges(): Finding {
  const status = readStatus(process.pid)
  const isAdmin = ((status?.effectiveCapabilities ?? 0n) & CAP_SYS_ADMIN) !== 0n
  const value = `uid ${process.getuid?.() ?? '?'}, CAP_SYS_ADMIN ${isAdmin ? 'yes' : 'no'}`
  if (needsFusermount()) {
    return {
      what: 'privileges',
      value,
      verdict: 'note',
      means:
        'run and mount serve you alone, on what you may write to: nobody else, root included, can use a file meanwhile, and data goes through the daemon',
    }
  }
  return {
    what: 'privileges',
    value,
    verdict: isAdmin ? 'ok' : 'fail',
    means: isAdmin
      ? 'run and mount work'
      : "run and mount need it: use 'sudo'; who, leases and pins work without",
  }
}

/** What an ordinary user mounts with, and whether it can. */
function fusermount(): Finding[] {
  if (!needsFusermount()) return []
  const what = 'fusermount3'
  const program = findFusermount()
  if (program === null) {
    return [{ what, value: 'missing', verdict: 'fail', means: 'install the package fuse3, or use root' }]
  }
  const { uid, mode } = statSync(program)
  const isSetuid = uid === 0 && (mode & 0o4000) !== 0
  const mayGain = !/^NoNewPrivs:\s*1/m.test(readFileSync('/proc/self/status', 'latin1'))
  const config = readConfig()
  const max = /^mount_max = (\d+)/m.exec(config)?.[1] ?? '1000'
  return [
    {
      what,
      value: `${program}, ${isSetuid ? 'set-user-ID root' : 'not set-user-ID root'}${mayGain ? '' : ', no new privileges'}`,
      verdict: isSetuid && mayGain ? 'ok' : 'fail',
      means: !isSetuid
        ? 'it cannot mount: install the package fuse3 again'
        : mayGain
          ? 'ordinary users can mount'
          : 'it cannot mount from here: this process and its children may not gain privileges',
    },
    {
      what: '/etc/fuse.conf',
      value: `mount_max ${max}, user_allow_other ${/^user_allow_other\s*$/m.test(config) ? 'yes' : 'no'}`,
      verdict: 'ok',
      means: 'more mounts than that fail; Holdfast does not use allow_other, because all would act as you',
    },
  ]
}

function readConfig(): string {
  try {
    return readFileSync('/etc/fuse.conf', 'latin1')
  } catch {
    return '' // Without it the defaults hold.
  }
}

function requestTimeout(): Finding {
  const path = '/proc/sys/fs/fuse/max_request_timeout'
  let seconds = 0
  try {
    seconds = Number(readFileSync(path, 'latin1'))
  } catch {
    // Older kernels do not have it, and so never abort a request.
  }
  return {
    what: 'request timeout',
    value: seconds === 0 ? 'none' : `${seconds} s`,
    verdict: seconds === 0 ? 'ok' : 'note',
    means:
      seconds === 0
        ? 'a change may wait for a lease as long as its break time'
        : `the kernel ends a whole mount when a request is older; break times are cut to half of it (${path})`,
  }
}

function cgroup(): Finding {
  const tree = readMounts().find((mount) => mount.type === 'cgroup2')?.mountpoint
  const isOurs = tree !== undefined && isWritable(tree)
  return {
    what: 'cgroup2',
    value: tree === undefined ? 'not mounted' : isOurs ? 'mounted' : 'mounted, not writable',
    verdict: isOurs ? 'ok' : 'note',
    means: isOurs
      ? 'the engine gets a cgroup of its own'
      : 'killing the cgroup of the command kills the engine too; the next holdfast command removes the dead mount',
  }
}

function isWritable(path: Buffer): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** As many as an engine will have: this process gets itself the same limit, which goes with it. */
function openFiles(): Finding {
  raiseFileLimit()
  const line = readFileSync('/proc/self/limits', 'latin1').match(/^Max open files\s+(\S+)\s+(\S+)/m)
  return {
    what: 'open files',
    value: `${line?.[2] ?? '?'} at most`,
    verdict: 'ok',
    means: `files beyond are reopened by their ${needsFusermount() ? 'name' : 'handle'} when they are needed`,
  }
}
