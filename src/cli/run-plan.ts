/** What is left for the launcher to do once the mounts are there: lease each file, then become COMMAND. */
import { Plan } from './shell.js'

/** One FILE of `holdfast run`, under a mount by now. */
export interface HeldFile {
  /** The path under which the mount shows it. */
  readonly path: Buffer
  /** The control directory of the engine that serves it. */
  readonly control: Buffer
}

export interface RunPlanOptions {
  readonly files: readonly HeldFile[]
  /** The command for the control file `ctl` that takes the lease on a descriptor. */
  readonly request: (fd: number) => string
  /** Environment of the launcher as it was started: `NAME=value` each. */
  readonly environment: readonly Buffer[]
  /** Descriptors that the launcher has open. */
  readonly usedFds: ReadonlySet<number>
  /** Does COMMAND's name contain a `=`, so that env(1) would take it for an assignment? */
  readonly isCommandAmbiguous: boolean
}

/** A shell can only name descriptors of one digit; 0 to 2 are COMMAND's own. */
const LEASE_FDS = [9, 8, 7, 6, 5, 4, 3]

/**
 * COMMAND is given the leased descriptor of each FILE, as far as there are digits. A further FILE is opened
 * on a digit that is lent for a moment: its lease outlives the descriptor, because the pin is the process's.
 */
export function runPlan(options: RunPlanOptions): Plan {
  const plan = new Plan()
  const free = LEASE_FDS.filter((fd) => !options.usedFds.has(fd))
  const kept: number[] = []
  plan.line('hf_ok=1')
  for (const file of options.files) {
    const fd = free.shift()
    plan.line('hf_why=')
    if (fd !== undefined) {
      kept.push(fd)
      // Looked at first, since the complaint of a redirection that fails cannot be silenced: exec would keep
      // the silence for COMMAND.
      plan.line('[ -r ', file.path, ` ] && command exec ${fd}<`, file.path, ' || hf_ok=')
      ask(plan, options.request(fd), file)
    } else {
      plan.line('[ -z "$hf_ok" ] || {')
      ask(plan, options.request(9), file)
      plan.line('} 2>/dev/null 9<', file.path)
    }
    judge(plan, file)
  }
  plan.line('if [ -n "$hf_ok" ]; then')
  // The environment is taken from where the kernel keeps it: a shell drops names that are no identifiers
  // and adds variables of its own.
  const words = assignments(options.environment).flatMap((assignment) => [' ', assignment])
  plan.line(
    'while [ "$1" != -- ]; do shift; done; shift; ',
    'exec /usr/bin/env -i --',
    ...words,
    // nice(1) with nothing to change does nothing but start a command, whatever its name looks like.
    options.isCommandAmbiguous ? ' /usr/bin/nice -n 0 "$@"' : ' "$@"',
  )
  plan.line('fi')
  // The mount went away before it could be used: close what was opened and ask for a new plan.
  for (const fd of kept) plan.line(`exec ${fd}<&-`)
  return plan
}

/**
 * What env(1) can set. It takes a string without a name for an error and one without `=` for the command. Of a
 * name that is there twice it would keep the last, where getenv(3) finds the first.
 */
function assignments(environment: readonly Buffer[]): Buffer[] {
  const seen = new Set<string>()
  return environment.filter((string) => {
    const name = string.toString('latin1').split('=', 1)[0] ?? ''
    if (name === '' || name.length === string.length || seen.has(name)) return false
    seen.add(name)
    return true
  })
}

/**
 * Asks through the control directory, so that the very process that becomes COMMAND takes the lease. Only what
 * is read back counts: a shell cannot open a file for both without making it, and where the engine has just
 * ended it would write to a file of its own.
 */
function ask(plan: Plan, request: string, file: HeldFile): void {
  const ctl = Buffer.concat([file.control, Buffer.from('/ctl')])
  plan.line(`[ -z "$hf_ok" ] || { echo '${request}' >&0; read -r hf_why; } 2>/dev/null 0<>`, ctl)
}

function judge(plan: Plan, file: HeldFile): void {
  plan.line('case $hf_why in')
  plan.line('  ok) ;;')
  plan.line('  "" | ENODEV* | EBADF*) hf_ok= ;;')
  plan.line("  *) printf 'holdfast: %s: %s\\n' ", file.path, ' "$hf_why" >&2; exit 1 ;;')
  plan.line('esac')
}
