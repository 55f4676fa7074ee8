/** The load: lanes, each of which does one job after another, chosen and killed at random from its own seed. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../../dist/lib/random.js'

const HERE = import.meta.dirname
const HOLDFAST = path.join(HERE, '..', '..', 'bin', 'holdfast')
/** A job that takes longer hangs: on this, too, a soak fails. */
const JOB_PATIENCE_MS = 180_000
const KILL_ONE_IN = 4
const KILL_AFTER_MS_MAX = 3000
const SAID_MAX = 2000

/**
 * @typedef {object} Place
 * @property {string} mount
 * @property {string} material Made by `prepare`, beside the mount.
 * @property {string} control
 */

/**
 * @typedef {object} Job
 * @property {string[]} argv
 * @property {boolean} [endsOnlyKilled] It would go on for ever: being killed is its end.
 */

/** @param {string} script @param {string[]} args @returns {Job} */
function shell(script, ...args) {
  return { argv: ['sh', '-euc', script, 'sh', ...args] }
}

/** Run once: what the jobs clone, install and compile. Its argument is the directory to make it in. */
const MATERIAL = `
mkdir -p "$1/origin" "$1/c" "$1/project" && cd "$1"
i=0; while [ $i -lt 150 ]; do
  mkdir -p origin/d$((i % 10)); seq $((i * 7)) $((i * 7 + 400)) >origin/d$((i % 10))/file$i; i=$((i + 1))
done
( cd origin && git init -q && git add -A && git -c user.name=soak -c user.email=soak@localhost commit -qm all )
i=0; all=; while [ $i -lt 12 ]; do
  printf '#include <stdio.h>\\nint f%d(int x) { return printf("%%d\\\\n", x + %d); }\\n' $i $i >c/part$i.c
  all="$all part$i.o"; i=$((i + 1))
done
{ seq -f 'int f%g(int);' 0 11; echo 'int main(void) { return f0(1) + f11(2) < 0; }'; } >c/main.c
printf 'program: main.o%s\\n\\tcc -o $@ $^\\n' "$all" >c/Makefile
i=0; dependencies=; locked=; while [ $i -lt 4 ]; do
  mkdir -p package$i/lib
  printf '{"name":"soak-package-%d","version":"1.0.0","main":"lib/0.js"}' $i >package$i/package.json
  j=0; while [ $j -lt 40 ]; do echo "module.exports = $j" >package$i/lib/$j.js; j=$((j + 1)); done
  tar czf project/package$i.tgz --transform s,^package$i,package, package$i
  dependencies="$dependencies\${dependencies:+,}\\"soak-package-$i\\":\\"file:package$i.tgz\\""
  locked="$locked,\\"node_modules/soak-package-$i\\":{\\"version\\":\\"1.0.0\\",\\"resolved\\":\\"file:package$i.tgz\\"}"
  i=$((i + 1))
done
root='"name":"soak-project","version":"1.0.0"'
printf '{%s,"private":true,"dependencies":{%s}}' "$root" "$dependencies" >project/package.json
printf '{%s,"lockfileVersion":3,"requires":true,"packages":{"":{%s,"dependencies":{%s}}%s}}' \\
  "$root" "$root" "$dependencies" "$locked" >project/package-lock.json
`

/** @param {string} directory @returns {string[]} the command that makes the material. */
export function preparing(directory) {
  return shell(MATERIAL, directory).argv
}

const GIT = `
rm -rf "$1" && git clone -q "$2/origin" "$1" && cd "$1"
git config user.name soak && git config user.email soak@localhost
for i in 1 2 3; do seq "$3" $(($3 + 500 * i)) >new$i; rm -f d$i/file*; git add -A; git commit -qm "number $i"; done
git gc -q && git fsck --no-progress --strict`
const NPM = `
rm -rf "$1" && cp -r "$2/project" "$1" && cd "$1"
npm ci --offline --ignore-scripts --no-audit --no-fund --loglevel=error --cache "$1/cache" >/dev/null
node -e 'for (const i of [0, 1, 2, 3]) require("soak-package-" + i)'`
const COMPILE =
  'rm -rf "$1" && cp -r "$2/c" "$1" && make -s -j2 -C "$1" program CFLAGS="-O1 -DX=$3" && "$1/program" >/dev/null'
const RUN = `
mkdir -p "$1" && seq 20000 >"$1/data"
"$2" run "$1/data" -- sh -c '! truncate -s 0 "$1" 2>/dev/null && cat <&9 | wc -l >/dev/null' sh "$1/data"
"$2" lease --normal --break-time 100 "$1/data" -- truncate -s 10 "$1/data" || [ $? -eq 1 ]
"$2" leases --json >/dev/null; "$2" who "$1/data" >/dev/null`
/** Reads for a while, and goes. (In the foreground: in a process group of its own it would not be killed with us.) */
const READ_EVENTS = 'timeout --foreground "$2" cat "$1/events" >/dev/null || [ $? -eq 124 ]'
/** Opens and does not read, so that its queue gets full; reads a little; goes. */
const SLOW_READER =
  'exec 3<"$1/events"; sleep "$2"; timeout --foreground 1 head -c 5000 <&3 >/dev/null || [ $? -eq 124 ]'

/**
 * What each lane does next.
 * @type {Readonly<Record<string, (random: Random, place: Place) => Job>>}
 */
const LANES = {
  git: (random, { mount, material }) => shell(GIT, `${mount}/git`, material, String(random.int(0, 9999))),
  npm: (_random, { mount, material }) => shell(NPM, `${mount}/npm`, material),
  compile: (random, { mount, material }) =>
    shell(COMPILE, `${mount}/compile`, material, String(random.int(0, 9999))),
  sqlite: (random, { mount }) => {
    const seed = String(random.int(1, 1_000_000))
    return { argv: ['python3', path.join(HERE, 'sqlite.py'), `${mount}/sqlite/base`, seed, '40'] }
  },
  leases: leases,
  'more leases': leases,
  run: (_random, { mount }) => shell(RUN, `${mount}/run`, HOLDFAST),
  readers: (random, { control }) => {
    const seconds = (random.int(1, 30) / 10).toFixed(1)
    if (random.oneIn(3)) return { argv: [HOLDFAST, 'watch'], endsOnlyKilled: true }
    return shell(random.oneIn(2) ? SLOW_READER : READ_EVENTS, control, seconds)
  },
}

/** @param {Random} random @param {Place} place @returns {Job} */
function leases(random, { mount, control }) {
  const seed = String(random.int(1, 1_000_000))
  const operations = String(random.int(100, 1500))
  return { argv: ['python3', path.join(HERE, 'leases.py'), `${mount}/leases`, control, seed, operations] }
}

export class Load {
  /** @type {Record<'done' | 'killed' | 'failed', number>} */
  counts = { done: 0, killed: 0, failed: 0 }
  #place
  #tell
  /** @type {Map<string, Random>} */
  #lanes
  /** @type {Set<import('node:child_process').ChildProcess>} */
  #running = new Set()
  #isResting = true
  /** @type {Promise<unknown>} */
  #busy = Promise.resolve()

  /**
   * @param {Place} place
   * @param {number} seed
   * @param {(line: string) => void} tell Of a job that failed.
   */
  constructor(place, seed, tell) {
    this.#place = place
    this.#tell = tell
    this.#lanes = new Map(Object.keys(LANES).map((name, index) => [name, new Random(seed + index)]))
  }

  start() {
    this.#isResting = false
    this.#busy = Promise.all([...this.#lanes.keys()].map((name) => this.#drive(name)))
  }

  /** No new jobs; those that run have some time to end, and are killed then. */
  async rest(/** @type {number} */ patienceMs) {
    this.#isResting = true
    const timer = setTimeout(() => this.#killAll(), patienceMs)
    await this.#busy
    clearTimeout(timer)
  }

  /** @param {string} name */
  async #drive(name) {
    const random = this.#lanes.get(name)
    const next = LANES[name]
    if (random === undefined || next === undefined) return
    while (!this.#isResting) {
      await this.#run(name, next(random, this.#place), random)
      await sleep(random.int(0, 300))
    }
  }

  /** @param {string} name @param {Job} job @param {Random} random */
  async #run(name, { argv, endsOnlyKilled = false }, random) {
    const isDoomed = random.oneIn(KILL_ONE_IN)
    const killAfterMs = random.int(20, KILL_AFTER_MS_MAX)
    // A group of its own: what it started goes with it.
    const child = spawn(argv[0] ?? '', argv.slice(1), {
      detached: true,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#running.add(child)
    let said = ''
    const hear = (/** @type {Buffer} */ bytes) => {
      said = (said + bytes.toString('latin1')).slice(-SAID_MAX)
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    const hangs = () => {
      hear(Buffer.from('it hangs'))
      killGroup(child)
    }
    const timers = [setTimeout(hangs, JOB_PATIENCE_MS)]
    if (isDoomed || endsOnlyKilled) timers.push(setTimeout(() => this.#kill(child), killAfterMs))
    const [code, signal] = await new Promise((resolve) => {
      child.on('error', (error) => hear(Buffer.from(error.message)))
      child.on('close', (...end) => resolve(end))
    })
    for (const timer of timers) clearTimeout(timer)
    const wasKilled = !this.#running.delete(child)
    if (wasKilled) this.counts.killed++
    else if (code === 0) this.counts.done++
    else {
      this.counts.failed++
      this.#tell(`${name}: a job ended with ${code ?? signal}: ${argv.slice(-4).join(' ')}\n${said}`)
    }
  }

  /** Not a job that is killed by us is a job that failed. @param {import('node:child_process').ChildProcess} child */
  #kill(child) {
    if (this.#running.delete(child)) killGroup(child)
  }

  #killAll() {
    for (const child of [...this.#running]) this.#kill(child)
  }

  /** For who has to end at once. */
  stop() {
    this.#isResting = true
    this.#killAll()
  }
}

/** @param {import('node:child_process').ChildProcess} child */
function killGroup(child) {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    // It has ended meanwhile.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/**
 * A leak of a real thing, to see that it is found: a program that opens files and holds leases and pins, and does
 * not stop when everything rests. It ends with this process.
 * @param {Place} place
 */
export function leak({ mount }) {
  const argv = [path.join(HERE, 'leases.py'), '--hold', `${mount}/leak`]
  return spawn('python3', argv, { stdio: ['pipe', 'inherit', 'inherit'], cwd: '/' })
}
