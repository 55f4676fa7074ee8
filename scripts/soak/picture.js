/**
 * The curves as a picture, one field for each figure. Drawn by hand: what draws SVG without a browser either brings
 * a whole document model along (jsdom for Observable Plot, a hundred packages for Vega) or is nobody's work any more,
 * and here are only lines in boxes.
 */
import { formatValue } from './judgement.js'

const FIELD = { width: 460, height: 170, left: 78, right: 14, top: 34, bottom: 24 }
const COLUMNS = 2
/** Height of a line of text. */
const LINE = 12

/** @param {string} text */
function escapeText(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

/**
 * @param {import('./judgement.js').Verdict} verdict
 * @param {readonly import('./judgement.js').Sample[]} samples
 * @param {number} startS
 */
function drawField({ figure, allowed, before, isFine }, samples, startS) {
  const endS = Math.max(...samples.map(({ atS }) => atS), 1)
  const values = samples.map((sample) => sample.values[figure.name] ?? 0)
  const top = Math.max(...values, allowed, 1) * 1.05
  const innerWidth = FIELD.width - FIELD.left - FIELD.right
  const innerHeight = FIELD.height - FIELD.top - FIELD.bottom
  /** @param {number} atS */
  const x = (atS) => (FIELD.left + (atS / endS) * innerWidth).toFixed(1)
  /** @param {number} value */
  const y = (value) => (FIELD.top + innerHeight * (1 - value / top)).toFixed(1)
  /** @param {readonly import('./judgement.js').Sample[]} some @param {string} style */
  const curve = (some, style) => {
    const points = some.map((sample) => `${x(sample.atS)},${y(sample.values[figure.name] ?? 0)}`)
    return `<polyline points="${points.join(' ')}" fill="none" ${style}/>`
  }
  /** @param {number} value @param {string} style */
  const level = (value, style) => `<path d="M${FIELD.left} ${y(value)}h${innerWidth}" ${style}/>`
  /** Where two levels lie so close that their numbers would cover each other, the first counts. */
  const ticks = [0, Math.max(...values), allowed, before].filter(
    (value, at, all) =>
      !all.slice(0, at).some((other) => Math.abs(Number(y(value)) - Number(y(other))) < LINE),
  )
  /** @param {number} value */
  const tick = (value) =>
    `<text x="${FIELD.left - 6}" y="${y(value)}" dy="4" text-anchor="end">${formatValue(figure, value)}</text>`
  const title = `${figure.name} (${figure.about})${isFine ? '' : ': grew'}`
  const bottom = FIELD.height - 8
  return [
    `<text x="${FIELD.left}" y="20" font-weight="bold"${isFine ? '' : ' fill="#b00"'}>${escapeText(title)}</text>`,
    `<rect x="${FIELD.left}" y="${FIELD.top}" width="${innerWidth}" height="${innerHeight}" fill="none" stroke="#999"/>`,
    `<path d="M${x(startS)} ${FIELD.top}v${innerHeight}" stroke="#999" stroke-dasharray="2 3"/>`,
    level(before, 'stroke="#080" stroke-dasharray="6 3"'),
    level(allowed, 'stroke="#b00" stroke-dasharray="6 3"'),
    curve(samples, 'stroke="#9bd"'),
    curve(
      samples.filter(({ isRest }) => isRest),
      'stroke="#024" stroke-width="1.5"',
    ),
    ...ticks.map(tick),
    `<text x="${FIELD.left}" y="${bottom}">0 s</text>`,
    `<text x="${FIELD.width - FIELD.right}" y="${bottom}" text-anchor="end">${Math.round(endS)} s</text>`,
  ].join('\n')
}

/**
 * @param {readonly import('./judgement.js').Verdict[]} verdicts
 * @param {readonly import('./judgement.js').Sample[]} samples
 * @param {number} startS
 * @param {string} title
 */
export function draw(verdicts, samples, startS, title) {
  const rows = Math.ceil(verdicts.length / COLUMNS)
  const width = COLUMNS * FIELD.width
  const height = 46 + rows * FIELD.height
  const fields = verdicts.map((verdict, at) => {
    const place = `${(at % COLUMNS) * FIELD.width} ${46 + Math.floor(at / COLUMNS) * FIELD.height}`
    return `<g transform="translate(${place})">\n${drawField(verdict, samples, startS)}\n</g>`
  })
  const key = 'light: under load; dark: at rest; green: after the start; red: allowed at the end'
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
<text x="14" y="20" font-size="15">${escapeText(title)}</text>
<text x="14" y="38">${key}</text>
${fields.join('\n')}
</svg>
`
}
