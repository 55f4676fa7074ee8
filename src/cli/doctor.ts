/** `holdfast doctor`: what this machine can do, and what follows from it. Changes nothing. */
import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { type FuseAbility, probeFuse, removeDead } from '../daemon/main.js'
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
  const findings = [kernel(), ...fuse(), privileges(), requestTimeout(), cgroup(), openFiles()]
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
    {
      what: 'passthrough',
      value: ability.passthrough ? 'yes' : 'no',
      verdict: ability.passthrough ? 'ok' : 'note',
      means: ability.passthrough
        ? 'reads, writes and mappings go straight to the backing file'
        : 'reads and writes go through the daemon and are slower; Linux 6.9 and root are needed for better',
    },
  ]
}

function privileges(): Finding {
  const status = readStatus(process.pid)
  const isAdmin = ((status?.effectiveCapabilities ?? 0n) & CAP_SYS_ADMIN) !== 0n
  return {
    what: 'privileges',
    value: `uid ${process.getuid?.() ?? '?'}, CAP_SYS_ADMIN ${isAdmin ? 'yes' : 'no'}`,
    verdict: isAdmin ? 'ok' : 'fail',
    means: isAdmin
      ? 'run and mount work'
      : "run and mount need it: use 'sudo'; who, leases and pins work without",
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
  const hasTree = readMounts().some((mount) => mount.type === 'cgroup2')
  return {
    what: 'cgroup2',
    value: hasTree ? 'mounted' : 'not mounted',
    verdict: hasTree ? 'ok' : 'note',
    means: hasTree
      ? 'the engine gets a cgroup of its own'
      : 'killing the cgroup of the command kills the engine too; the next holdfast command removes the dead mount',
  }
}

function openFiles(): Finding {
  const line = readFileSync('/proc/self/limits', 'latin1').match(/^Max open files\s+(\S+)\s+(\S+)/m)
  return {
    what: 'open files',
    value: `${line?.[2] ?? '?'} at most`,
    verdict: 'ok',
    means: 'files beyond are reopened by their handle when they are needed',
  }
}
