/** The `holdfast` command: arguments to calls, results to text or JSON, errors to one line and an exit code. */
import { Command, CommanderError, Option } from '@commander-js/extra-typings'
import { removeDead } from '../daemon/main.js'
import { LinuxError } from '../linux/error.js'
import { writeAll } from '../linux/files.js'
import { readArguments } from './arguments.js'
import { doctor } from './doctor.js'
import { CommandError, explain } from './errors.js'
import { HELP } from './help.js'
import { lease } from './lease.js'
import { leases, pins, status, who } from './listings.js'
import { mount, umount } from './mount.js'
import { writeOut } from './output.js'
import { revoke } from './revoke.js'
import { run } from './run.js'
import { setup } from './setup.js'
import { Plan } from './shell.js'
import { VERSION } from './version.js'
import { watch } from './watch.js'

/** Started by bin/holdfast for `run` and `mount`: what we write to stdout is then shell code. */
const isLaunched = process.env.HOLDFAST_LAUNCHER !== undefined

const EXAMPLES = `
Hold a file in place while a program uses it:
  sudo holdfast run model.gguf -- llama-server -m model.gguf

Put Holdfast over a directory, for programs that take leases themselves:
  sudo holdfast mount /srv/models
  exec 3</srv/models/a.gguf && holdfast lease --fd 3 --exclusive

Find out who keeps you from truncating a file:
  holdfast who /srv/models/a.gguf

What Holdfast cannot see goes past it: descriptors that were opened before, other hard
links, and mount namespaces without the mount. run and mount name those that exist.`

const CACHE_HELP =
  'changes made past the mount show within a second (auto), at every use of a path (strict) or always (none)'

function makeProgram(): Command {
  const program = new Command('holdfast')
    .description('Holds files in place: while a lease or pin is on a file, nobody can pull its blocks away.')
    .version(VERSION)
    .addHelpText('after', EXAMPLES)
    .enablePositionalOptions()
    .helpCommand(false)

  program
    .command('run')
    .usage('[options] FILE... -- COMMAND [ARG...]')
    .description('run COMMAND while nobody can truncate, punch, replace or remove FILE')
    .argument('<file...>', 'files to hold; a symlink stands for its target')
    .option('--strict', 'refuse to start when somebody goes past Holdfast (has FILE open already, ...)')
    .option('--no-passthrough', 'let reads and writes go through the daemon')
    .option('--without <features>', "do not use these features of the kernel's FUSE ('holdfast doctor')")
    .option('--cache <mode>', CACHE_HELP)
    .option('--debug <file>', 'append one line for each message of the FUSE protocol to this file')
    .addHelpText('after', HELP.run)
    .action((files, options) => run(files, commandWords, options))

  program
    .command('mount')
    .description('put Holdfast over a directory (or show it at MOUNTPOINT), so that leases work below it')
    .argument('<dir>', 'directory; its files stay where they are')
    .argument('[mountpoint]', 'directory to show it at instead')
    .option('--strict', 'refuse to mount when somebody goes past Holdfast (has files open already, ...)')
    .option('--no-passthrough', 'let reads and writes go through the daemon')
    .option('--without <features>', "do not use these features of the kernel's FUSE ('holdfast doctor')")
    .option('--cache <mode>', CACHE_HELP)
    .option('--debug <file>', 'append one line for each message of the FUSE protocol to this file')
    .option('-o, --options <list>', 'options as in fstab: ro, nosuid, nodev, noexec, and those of this page')
    .option(
      '--break-time <ms>',
      'how long a normal lease may take to be given up (default 10000, at most 60000)',
    )
    .option('--max-leases <n>', 'leases that one user may have (default 100000)')
    .option('--max-pins <n>', 'pins that one user may have (default 100000)')
    .option(
      '--on-timeout <what>',
      'what happens to a lease that is not given up in time: revoke it (default), or kill its owners',
    )
    .addOption(new Option('--clock <file>').hideHelp())
    .addHelpText('after', HELP.mount)
    .action(mount)

  program
    .command('umount')
    .description('end a Holdfast mount; refused while leases exist or files are open')
    .argument('<mountpoint>')
    .addHelpText('after', HELP.umount)
    .action(umount)

  program
    .command('lease')
    .usage('[options] (--fd N | FILE -- COMMAND [ARG...])')
    .description('take a lease on a descriptor for the calling shell, or on FILE while COMMAND has it open')
    .argument('[file]', 'a file under a Holdfast mount; COMMAND gets it on descriptor 9')
    .option('--fd <n>', "descriptor of the shell, as from 'exec 3<FILE'; the shell becomes the owner")
    .option('--exclusive', 'a lease that cannot be broken: changes fail instead of waiting')
    .option('--normal', 'a lease that can be broken: changes wait until it is given up (default)')
    .option('--write', 'nobody else may change the layout, the holder may')
    .option('--start <byte>', 'first byte of the range (default 0)')
    .option(
      '--length <bytes>',
      'length of the range; 0 is to the end of the file, wherever that is (default)',
    )
    .option('--wait', 'wait for conflicting leases to be given up, instead of failing')
    .option(
      '--break-time <ms>',
      'how long it may take to be given up (default and at most: as the mount has it)',
    )
    .option('--json', 'print the lease as JSON')
    .addHelpText('after', HELP.lease)
    .action((file, options) => lease(file, commandWords, options))

  program
    .command('leases')
    .description('list leases, of everything or of what is at or below PATH')
    .argument('[path]')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP.leases)
    .action(leases)
  program
    .command('pins')
    .description('list pins, of everybody or of one process')
    .argument('[pid]')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP.pins)
    .action(pins)
  program
    .command('who')
    .description('say who keeps you from truncating a file')
    .argument('<path>')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP.who)
    .action(who)
  program
    .command('watch')
    .description('print what happens to leases and pins, everywhere or at and below PATH, line by line')
    .argument('[path]')
    .option('--json', 'print JSON, one object per line')
    .addHelpText('after', HELP.watch)
    .action(watch)
  program
    .command('revoke')
    .description('take a lease away from its owners')
    .argument('<id>', "number of the lease, as 'holdfast leases' has it")
    .argument('[path]', 'a path on its mount, where several mounts have a lease of this number')
    .option('--kill', 'kill its owners and the processes that have pins under it')
    .addHelpText('after', HELP.revoke)
    .action(revoke)
  program
    .command('status')
    .description('list the Holdfast mounts')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP.status)
    .action(status)
  program
    .command('doctor')
    .description('say what this machine can do, and what follows from it')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP.doctor)
    .action(doctor)
  program
    .command('setup')
    .description('make mount(8), fstab and systemd know Holdfast')
    .option('--remove', 'remove what it made')
    .option('--root <dir>', 'put the files below this directory instead of / (for packages)')
    .addHelpText('after', HELP.setup)
    .action(setup)
  program
    .command('litmus')
    .description('play scenarios that show the rules, in a model and on mounts')
    .helpOption(false)
    .allowUnknownOption()
    .argument('[name...]')
    .action(() => {
      throw new CommandError("litmus: it is started by bin/holdfast: 'holdfast litmus --help'", 2)
    })
  program
    .command('reap', { hidden: true })
    .description('remove dead mounts; the supervisor calls it')
    .action(() => {
      removeDead()
    })
  return program
}

/** Words behind `--`, which belong to COMMAND and are nobody's options. */
let commandWords: readonly string[] = []

function fail(message: string, exitCode: number): void {
  if (message !== '') writeAll(2, Buffer.from(`holdfast: ${message}\n`))
  finish(exitCode)
}

function isBrokenPipe(error: unknown): boolean {
  return error instanceof LinuxError && error.code === 'EPIPE'
}

function finish(exitCode: number): void {
  if (isLaunched) writeAll(1, new Plan().exit(exitCode).bytes)
  process.exitCode = exitCode
}

/** Everything commander prints is ASCII or an argument, and arguments are byte strings. */
function writeBytes(fd: 1 | 2, text: string): void {
  const bytes = Buffer.from(text, 'latin1')
  if (fd === 2) writeAll(2, bytes)
  else writeOut(isLaunched ? new Plan().print(bytes).bytes : bytes)
}

/** commander's complaints, as the one line that every error is. @param command what its help is asked of. */
function oneLine(text: string, command: string): string {
  const [complaint = '', ...more] = text
    .replace(/^error: /, '')
    .trim()
    .split('\n')
  const suggestion = more.length > 0 ? more.join(' ') : `(see '${command} --help')`
  return `holdfast: ${complaint} ${suggestion}\n`
}

async function main(): Promise<void> {
  let words = readArguments()
  if (words[0] === 'help') words = [...words.slice(1, 2), '--help']
  const program = makeProgram()
  // commander would answer with its help.
  const isKnown = (word: string) => program.commands.some((command) => command.name() === word)
  if (words[0]?.startsWith('-') === false && !isKnown(words[0])) words = words.slice(0, 1)
  if (words[0] === 'run' || words[0] === 'lease') {
    const dashes = words.indexOf('--')
    commandWords = dashes < 0 ? [] : words.slice(dashes + 1)
    if (dashes >= 0) words = words.slice(0, dashes)
    const asksForHelp = words.includes('--help') || words.includes('-h')
    if (words[0] === 'run' && commandWords.length === 0 && !asksForHelp) {
      throw new CommandError("run: which command? Write 'holdfast run FILE -- COMMAND'", 2)
    }
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride()
    command.configureOutput({
      writeOut: (text) => writeBytes(1, text),
      writeErr: (text) => writeBytes(2, text),
      outputError: (text, write) =>
        write(oneLine(text, command === program ? 'holdfast' : `holdfast ${command.name()}`)),
    })
  }
  await program.parseAsync(words, { from: 'user' })
}

// No top-level await: the bundle that starts quickly is one CommonJS file.
main()
  .catch((error: unknown) => {
    if (error instanceof CommanderError) finish(error.exitCode === 0 ? 0 : 2)
    else if (isBrokenPipe(error)) throw error
    else fail(explain(error), error instanceof CommandError ? error.exitCode : 1)
  })
  .catch((error: unknown) => {
    // Whoever read our output has enough of it, as `head` does, or has ended: there is nobody to complain to.
    if (!isBrokenPipe(error)) throw error
    process.exitCode = 1
  })
