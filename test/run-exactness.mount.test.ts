/**
 * COMMAND of `holdfast run` finds itself exactly as without. Each scenario starts test/programs/inspect.c
 * twice, once plain and once through `run`, and everything it can see must be equal; inspection.ts says what is
 * left out of the comparison and why.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { eventuallyTrue } from './support/eventually.js'
import { parseInspection } from './support/inspection.js'
import { HOLDFAST, program } from './support/programs.js'
import { type CommandOptions, PLAIN_ENVIRONMENT, Sandbox } from './support/sandbox.js'

let box: Sandbox
let file: string
let out: string
const inspect = program('inspect')
const exact = program('exact')

beforeAll(async () => {
  box = await Sandbox.create()
  file = await box.file('model.gguf')
  out = path.join(box.work, 'out')
})

afterAll(async () => {
  await box.dispose()
})

afterEach(async () => {
  await box.endCommands()
  await box.allGone()
})

/** Runs a bash script in which {RUN} stands for nothing, then for `holdfast run FILE --`, and compares. */
async function sameInScript(script: string, options: CommandOptions = {}): Promise<void> {
  const seen = []
  for (const prefix of ['', `${HOLDFAST} run ${file} --`]) {
    await box.must('rm -f out')
    const running = box.start(['bash', '-c', script.replaceAll('{RUN}', prefix)], options)
    const result = await running.ended
    const text = await box.must('cat out')
    const inspection = parseInspection(text, { files: [file], leader: running.pid, byShell: true })
    // bash names the job by its command line when it reports that it is done.
    const stderr = prefix === '' ? result.stderr : result.stderr.replaceAll(`${prefix} `, '')
    seen.push({ inspection, result: { ...result, stderr } })
    await box.allGone()
  }
  compare(seen)
}

/** The same without a shell: `wrap` are the words before the program, such as those of exact.c. */
async function sameWithout(wrap: readonly string[], words: readonly string[] = []): Promise<void> {
  const seen = []
  for (const prefix of [[], [HOLDFAST, 'run', file, '--']]) {
    await box.must('rm -f out')
    const running = box.start([...wrap, ...prefix, inspect, out, ...words])
    const result = await running.ended
    const inspection = parseInspection(await box.must('cat out'), { files: [file], leader: running.pid })
    expect(inspection.pid, 'COMMAND has the pid that the launcher had').toBe(running.pid)
    seen.push({ inspection, result })
    await box.allGone()
  }
  compare(seen)
}

interface Seen {
  readonly inspection: ReturnType<typeof parseInspection>
  readonly result: Awaited<ReturnType<Sandbox['exec']>>
}

function compare(seen: readonly Seen[]): void {
  const [plain, held] = seen
  if (plain === undefined || held === undefined) throw new Error('both must have run')
  expect(plain.inspection.facts.length).toBeGreaterThan(120)
  expect(held.inspection.facts).toEqual(plain.inspection.facts)
  expect(plain.inspection.leased).toEqual([])
  expect(held.inspection.leased).toHaveLength(1)
  expect(held.inspection.leased[0]).toContain(' cloexec=0 ')
  expect(held.result.stderr).toBe(plain.result.stderr)
  expect(held.result.stdout).toBe(plain.result.stdout)
  expect(held.result.code).toBe(plain.result.code)
}

function nulTerminated(name: string, strings: readonly Buffer[]): string {
  const target = path.join(box.outside, name)
  writeFileSync(target, Buffer.concat(strings.flatMap((bytes) => [bytes, Buffer.from([0])])))
  return target
}

/** Every byte that can stand in an argument or an environment string. */
const EVERY_BYTE = Buffer.from(Array.from({ length: 255 }, (_unused, index) => index + 1))

describe('run: COMMAND finds itself as without', () => {
  test('run: started directly', async () => {
    await sameWithout([], ['an argument', '', '--', '-x', '--help', '*'])
  })

  test.each([
    ['under nohup', 'nohup {RUN} inspect out x'],
    ['with <(...) and >(...)', '{RUN} inspect out <(echo a) >(cat > /dev/null) <(echo b)'],
    ['with standard input closed', '{RUN} inspect out <&-'],
    ['with standard output closed', '{RUN} inspect out >&-'],
    ['with standard error closed', '{RUN} inspect out 2>&-'],
    ['with standard input and output closed', '{RUN} inspect out <&- >&-'],
    ['with all three closed', '{RUN} inspect out <&- >&- 2>&-'],
    ['in the middle of a pipeline', 'echo x | {RUN} inspect out | cat'],
    ['at the end of a pipeline', 'echo x | {RUN} inspect out'],
    ['in a pipeline with standard error', '{RUN} inspect out 2>&1 | cat'],
    ['as a background job, with SIGINT and SIGQUIT ignored', '{RUN} inspect out & wait'],
    ['as a background job with job control', 'set -m; {RUN} inspect out & wait'],
    ['in a subshell', '( {RUN} inspect out; true )'],
    ['by exec', 'exec {RUN} inspect out'],
    ['in a command substitution', 'echo "$({RUN} inspect out)"'],
    ['with a here document', '{RUN} inspect out <<< text'],
    ['with SIGINT, SIGHUP, SIGPIPE ignored by trap', "trap '' INT HUP PIPE; {RUN} inspect out; true"],
    ['with descriptors 3 to 12 taken', '{RUN} inspect out 3<&0 4>&1 5<>lock 6>>log 9<. 10<&0 11>&1 12>&2'],
    ['in a directory reached by a symlink', 'mkdir -p r; ln -sfn r l; cd l; {RUN} inspect OUT; true'],
    ['with umask 0777', 'umask 0777; {RUN} inspect out; chmod 600 out'],
    ['with a small stack and few descriptors', 'ulimit -S -s 1024; ulimit -S -n 64; {RUN} inspect out; true'],
    ['through env', 'env FOO=bar {RUN} inspect out'],
    ['through setsid', 'setsid -w {RUN} inspect out'],
    ['through nice and timeout', 'nice -n 3 timeout 20 {RUN} inspect out'],
  ])('run: %s', async (_name, script) => {
    await sameInScript(script.replaceAll('inspect', inspect).replaceAll('OUT', out))
  })
})

describe('run: bytes of arguments and environment', () => {
  test('run: arguments with every byte from 1 to 255, and empty ones', async () => {
    const file = nulTerminated('arguments', [
      EVERY_BYTE,
      Buffer.from(''),
      Buffer.from('a\nb'),
      Buffer.from(''),
    ])
    await sameWithout([exact, `arguments=${file}`, '--'])
  })

  test('run: a hundred thousand bytes in one argument and ten thousand arguments', async () => {
    const words = [
      Buffer.alloc(100_000, 'x'),
      ...Array.from({ length: 10_000 }, (_unused, i) => Buffer.from(`${i}`)),
    ]
    await sameWithout([exact, `arguments=${nulTerminated('many', words)}`, '--'])
  })

  test.each<[string, readonly (string | Buffer)[]]>([
    [
      'names that are no identifiers',
      ['foo.bar=1', 'a b=2', '1x=3', '-=4', '%=5', 'BASH_FUNC_f%%=() { :; }'],
    ],
    ['values with every byte', [Buffer.concat([Buffer.from('ALL='), EVERY_BYTE]), 'PATH=/usr/bin:/bin']],
    ['names with bytes that are not UTF-8', [Buffer.from([0xff, 0xfe, 0x3d, 0xff]), 'PATH=/usr/bin:/bin']],
    [
      'an order of its own',
      ['Z=1', 'A=2', 'PATH=/usr/bin:/bin', 'M=3', 'B=4', '_=5', 'SHLVL=9', 'PWD=/nowhere'],
    ],
    ['nothing at all', []],
    ['no PATH', ['HOME=/']],
    ['a PATH that leads nowhere', ['PATH=/nowhere']],
    [
      'variables that shells act on',
      ['IFS=/', 'ENV=/dev/null', 'PS4=x', 'CDPATH=/', 'OPTIND=7', 'PATH=/usr/bin:/bin'],
    ],
    [
      'variables that Node acts on',
      ['NODE_OPTIONS=--no-such-option', 'NODE_EXTRA_CA_CERTS=/x', 'PATH=/usr/bin'],
    ],
    [
      'variables that the loader acts on',
      ['LD_BIND_NOW=1', 'LD_LIBRARY_PATH=/nowhere', 'PATH=/usr/bin:/bin'],
    ],
    ['POSIXLY_CORRECT and locales', ['POSIXLY_CORRECT=1', 'LC_ALL=no_SUCH.locale', 'PATH=/usr/bin:/bin']],
  ])('run: an environment with %s', async (name, strings) => {
    const bytes = strings.map((entry) => (typeof entry === 'string' ? Buffer.from(entry) : entry))
    const environment = nulTerminated(`environment-${name.length}`, bytes)
    await sameWithout([exact, `environment=${environment}`, '--'])
  })
})

describe('run: an odd state of the launcher', () => {
  const signals = (from: number, to: number): number[] => {
    return Array.from({ length: to - from + 1 }, (_unused, index) => from + index)
  }
  // SIGCHLD has a test of its own, below.
  const catchable = [...signals(1, 8), ...signals(10, 16), 18, ...signals(20, 31), ...signals(34, 64)]

  test.each<[string, readonly string[]]>([
    ['SIGPIPE ignored', ['ignore=13']],
    ['SIGHUP ignored', ['ignore=1']],
    ['SIGINT ignored', ['ignore=2']],
    ['SIGXFSZ ignored', ['ignore=25']],
    ['SIGTSTP, SIGTTIN, SIGTTOU ignored', ['ignore=20', 'ignore=21', 'ignore=22']],
    ['every other signal ignored', catchable.map((signo) => `ignore=${signo}`)],
    ['SIGTERM, SIGHUP, SIGUSR1 blocked', ['block=15', 'block=1', 'block=10']],
    ['every other signal blocked', catchable.map((signo) => `block=${signo}`)],
    ['a soft limit of 20 descriptors', ['limit=7:20']],
    ['hard limits lowered', ['limit=7:256:256', 'limit=4:0:0', 'limit=8:65536:65536']],
    ['a soft limit of 1 MiB on file sizes', ['limit=1:1048576']],
    ['a soft limit of 512 MiB on address space', ['limit=9:536870912']],
    ['a soft limit of 64 MiB on data', ['limit=2:67108864']],
    ['a soft limit of 10 pending signals', ['limit=11:10']],
    ['umask 027', ['umask=027']],
    ['niceness, OOM score, no address randomization', ['nice=7', 'oom=321', 'personality=40000']],
    ['a parent death signal', ['deathsignal=10']],
    ['no new privileges', ['nonewprivs=1']],
    [
      'descriptors here and there, with flags and offsets',
      [
        'open=3:0:model.gguf.other',
        'open=8:1026:log',
        'open=9:2048:/dev/zero',
        'open=10:2:model.gguf.other',
        'seek=10:77',
        'open=11:65536:.',
        'open=12:2097152:.',
        'dup=10:13',
        'open=63:0:/etc/passwd',
        'seek=63:5',
        'open=100:0:/dev/null',
        'open=255:0:/dev/null',
        'open=1000:0:/dev/null',
      ],
    ],
    [
      'every descriptor from 3 to 8 and from 10 to 40 taken',
      [...signals(3, 8), ...signals(10, 40)].map((fd) => `open=${fd}:2:/dev/null`),
    ],
    ['no descriptor at all', ['close=2', 'close=1', 'close=0']],
  ])('run: %s', async (_name, settings) => {
    await box.must('head -c 4096 /dev/zero > model.gguf.other; : > log')
    await sameWithout([exact, ...settings, '--'])
  })

  test('run: COMMAND is looked up as execvp does, and argument 0 is as it was given', async () => {
    const script = 'mkdir -p bin; ln -sf INSPECT bin/look; PATH=$PWD/bin:$PATH; {RUN} look out a b'
    await sameInScript(script.replace('INSPECT', inspect))
  })
})

describe('run: where /bin/sh is bash', () => {
  /** As the kernel would start it, were bash the interpreter in its first line. */
  const asBash = ['bash', '--posix', HOLDFAST, 'run']

  async function sameUnderBash(settings: readonly string[]): Promise<void> {
    const seen = []
    for (const prefix of [[], [...asBash, file, '--']]) {
      await box.must('rm -f out')
      const [first = '', ...rest] = [...prefix, inspect, out]
      const words = first === 'bash' ? ['/bin/bash', ...rest] : [first, ...rest]
      const running = box.start([exact, ...settings, '--', ...words])
      const result = await running.ended
      const inspection = parseInspection(await box.must('cat out'), { files: [file], leader: running.pid })
      seen.push({ inspection, result })
      await box.allGone()
    }
    compare(seen)
  }

  test.each<[string, readonly string[]]>([
    ['in an ordinary state', []],
    ['with signals ignored', ['ignore=1', 'ignore=2', 'ignore=13']],
    ['with few descriptors', ['limit=7:40', 'open=3:2:/dev/null', 'open=12:2:/dev/null']],
    ['without standard input and output', ['close=0', 'close=1']],
  ])('run: %s', async (_name, settings) => {
    await sameUnderBash(settings)
  })

  test('run: with an odd environment', async () => {
    const strings = [
      'foo.bar=1',
      'Z=1',
      'A=2',
      'SHLVL=7',
      '_=x',
      'PWD=/nowhere',
      'PATH=/usr/bin:/bin',
      'B=\xff',
    ]
    const environment = nulTerminated(
      'bash',
      strings.map((text) => Buffer.from(text, 'latin1')),
    )
    await sameUnderBash([`environment=${environment}`])
  })
})

/**
 * What a launcher that is a shell cannot keep. Each of these says what COMMAND finds instead, so that the list
 * stays complete and true: a test here that fails because things got better belongs above.
 */
describe('run: known limits of exactness', () => {
  async function both(wrap: readonly string[]) {
    const seen = []
    for (const prefix of [[], [HOLDFAST, 'run', file, '--']]) {
      await box.must('rm -f out')
      const running = box.start([...wrap, ...prefix, inspect, out])
      const result = await running.ended
      const inspection = parseInspection(await box.must('cat out'), { files: [file], leader: running.pid })
      seen.push({ facts: inspection.facts, result })
      await box.allGone()
    }
    const [plain, held] = seen
    if (plain === undefined || held === undefined) throw new Error('both must have run')
    const missing = plain.facts.filter((fact) => !held.facts.includes(fact))
    const added = held.facts.filter((fact) => !plain.facts.includes(fact))
    return { missing, added, result: held.result }
  }

  const hex = (text: string): string => Buffer.from(text).toString('hex')

  test('limit: strings without a name or without "=" are left out of the environment; COMMAND runs', async () => {
    const strings = ['A=1', 'nothing', '=x', '==', ''].map((text) => Buffer.from(text))
    const { missing, added } = await both([exact, `environment=${nulTerminated('odd', strings)}`, '--'])
    expect(missing).toEqual(
      ['nothing', '=x', '==', ''].map((text, index) => `environment ${index + 1} ${hex(text)}`),
    )
    expect(added).toEqual([])
  })

  test('limit: of a name that is there twice the first is kept, the one that getenv(3) finds', async () => {
    const strings = ['A=1', 'B=2', 'A=3'].map((text) => Buffer.from(text))
    const { missing, added } = await both([exact, `environment=${nulTerminated('twice', strings)}`, '--'])
    expect(missing).toEqual([`environment 2 ${hex('A=3')}`])
    expect(added).toEqual([])
  })

  test('limit: SIGCHLD that was ignored is back to its default', async () => {
    const { missing, added } = await both([exact, 'ignore=17', '--'])
    expect([missing, added]).toEqual([['signal 17 ignored'], ['signal 17 default']])
  })

  test('limit: SIGCHLD that was blocked is pending', async () => {
    const { missing, added } = await both([exact, 'block=17', '--'])
    expect([missing, added]).toEqual([['signal 17 default blocked'], ['signal 17 default blocked pending']])
  })

  test('limit: with every descriptor from 3 to 9 taken, the launcher itself stays open in COMMAND', async () => {
    const taken = Array.from({ length: 7 }, (_unused, index) => `open=${index + 3}:2:/dev/null`)
    const { missing, added } = await both([exact, ...taken, '--'])
    expect(missing).toEqual([])
    for (const fact of added) expect(fact).toMatch(/^fd 1\d .*\/holdfast$/)
  })

  test('limit: in a directory that does not exist any more the shell complains once; COMMAND finds no difference', async () => {
    const script = 'mkdir d && cd d && rmdir ../d && exec "$@"'
    const { missing, added, result } = await both(['bash', '-c', script, 'bash'])
    expect([missing, added]).toEqual([[], []])
    expect(result.stderr).toMatch(/^(sh: \d+: getcwd\(\) failed: No such file or directory\n)?$/)
  })
})

describe('run: at a terminal', () => {
  const interactive = [program('terminal'), 'bash', '--norc', '--noprofile', '-i']
  const environment = { ...PLAIN_ENVIRONMENT, PS1: '$ ', TERM: 'vt100', HISTFILE: '' }

  test.each([
    ['in the foreground', '{RUN} inspect out'],
    ['in the background', '{RUN} inspect out & wait'],
    ['under nohup', 'nohup {RUN} inspect out'],
    ['in a pipeline', '{RUN} inspect out | cat'],
    ['with raw settings', 'stty sane; stty -icanon -echo; {RUN} inspect out; stty sane'],
  ])('run: at a pseudo-terminal %s', async (_name, line) => {
    const command = line.replaceAll('inspect', inspect)
    const shell = box.start(interactive, { stdin: 'pipe', env: environment })
    // The quotes keep the echo of what is typed apart from what is printed.
    shell.type(
      `set +o history; ${command.replace('{RUN}', '')}; stty -a > before; mv out plain; echo fir''st\n`,
    )
    await shell.says('first')
    shell.type(
      `${command.replace('{RUN}', `${HOLDFAST} run ${file} --`)}; stty -a > after; mv out held; echo sec''ond\n`,
    )
    await shell.says('second', 15_000)
    shell.type('exit\n')
    expect(await shell.ended).toMatchObject({ code: 0 })
    const [plain, held] = await Promise.all(
      ['plain', 'held'].map(async (name) => {
        return parseInspection(await box.must(`cat ${name}`), { files: [file], byShell: true })
      }),
    )
    expect(held?.facts).toEqual(plain?.facts)
    expect(held?.leased).toHaveLength(1)
    expect(await box.must('cmp before after && echo same')).toBe('same\n')
    await box.allGone()
  })

  test('run: Ctrl-C ends COMMAND and with it the lease; the shell sees 130', async () => {
    const shell = box.start(interactive, { stdin: 'pipe', env: environment })
    shell.type(`${HOLDFAST} run ${file} -- sh -c 'echo star''ted; exec sleep 1000'\n`)
    await shell.says('started', 15_000)
    expect((await box.bash('truncate -s 0 "$1"', { args: [file] })).stderr).toContain('Text file busy')
    shell.type('\x03')
    shell.type('echo "co""de=$?"\n')
    await shell.says('code=130')
    await box.allGone()
    shell.type('exit\n')
    await shell.ended
  })

  test('run: Ctrl-C while COMMAND catches it reaches COMMAND only; nothing of Holdfast ends', async () => {
    const shell = box.start(interactive, { stdin: 'pipe', env: environment })
    const command = `trap "echo cau""ght; trap - INT" INT; echo star""ted; while :; do sleep 0.1; done`
    shell.type(`${HOLDFAST} run ${file} -- bash -c '${command}'\n`)
    await shell.says('started', 15_000)
    shell.type('\x03')
    await shell.says('caught')
    expect((await box.bash('truncate -s 0 "$1"', { args: [file] })).stderr).toContain('Text file busy')
    shell.type('\x03')
    await box.allGone()
    shell.type('exit\n')
    await shell.ended
  })

  test('run: Ctrl-Z stops COMMAND under its lease, fg goes on', async () => {
    const shell = box.start(interactive, { stdin: 'pipe', env: environment })
    shell.type(`${HOLDFAST} run ${file} -- sh -c 'echo star''ted; exec sleep 1000'\n`)
    await shell.says('started', 15_000)
    shell.type('\x1a')
    await shell.says('Stopped')
    const sleeper = (): string | undefined => {
      return box.processes().find((line) => line.command === 'sleep 1000')?.state
    }
    await eventuallyTrue('COMMAND is stopped', () => sleeper() === 'T')
    expect((await box.bash('truncate -s 0 "$1"', { args: [file] })).stderr).toContain('Text file busy')
    shell.type('fg\n')
    await eventuallyTrue('COMMAND runs again', () => sleeper() === 'S')
    shell.type('\x03')
    shell.type('echo "co""de=$?"\n')
    await shell.says('code=130')
    await box.allGone()
    shell.type('exit\n')
    await shell.ended
  })
})

describe('run: names of FILE', () => {
  test.each([
    ['a blank', 'a b'],
    ['quotes', `a'b"c\`d`],
    ['a newline', 'a\nb'],
    ['a newline at the end', 'ab\n'],
    ['a dollar and a backslash', 'a$HOME\\n\\012'],
    ['a leading dash', './-rf'],
    ['glob characters', '*?[a]'],
    ['tabs and control characters', 'a\tb\x01\x1b[0m'],
    ['255 bytes', 'x'.repeat(255)],
    ['letters of other scripts', 'модель-模型'],
  ])('run: a name with %s', async (_name, name) => {
    const script = [
      'head -c 4096 /dev/zero > "$2"; : > another',
      '"$1" run "$2" -- sh -c \'truncate -s 0 "$1" 2>&1; mv another "$1" 2>&1; head -c 10 "$1" | wc -c\' sh "$2"',
    ].join('\n')
    const result = await box.bash(script, { args: [HOLDFAST, name] })
    expect(result.stderr).toBe('')
    expect(result.stdout).toContain('Text file busy')
    expect(result.stdout).toContain('Device or resource busy')
    expect(result.stdout).toMatch(/(^|\n)10\n$/)
    await box.allGone()
  })

  test('run: a name and a directory that are not UTF-8', async () => {
    const script = [
      "name=$'d\\xff\\xfe/\\x80.bin'",
      'mkdir -p "$(dirname "$name")"; head -c 4096 /dev/zero > "$name"',
      '"$1" run "$name" -- sh -c \'truncate -s 0 "$1" 2>&1; head -c 10 "$1" | wc -c\' sh "$name"',
    ].join('\n')
    const result = await box.bash(script, { args: [HOLDFAST] })
    expect(result.stderr).toBe('')
    expect(result.stdout).toContain('Text file busy')
    expect(result.stdout).toMatch(/\n10\n$/)
    await box.allGone()
  })

  test('run: a relative name, and a name through "..", from another directory', async () => {
    const result = await box.bash(
      'mkdir -p sub; cd sub; "$1" run ../model.gguf -- truncate -s 0 ../sub/../model.gguf',
      { args: [HOLDFAST] },
    )
    expect(result.stderr).toContain('Resource deadlock avoided')
    await box.allGone()
  })
})
