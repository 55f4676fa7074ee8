/** How many columns of a terminal a text takes, so that listings line up. */

/** Combining marks and format characters take none. */
const ZERO = /\p{Mn}|\p{Me}|\p{Cf}/u

/** East Asian wide and full-width characters, and most emoji, take two. */
const TWO =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u

const ASCII = /^[\x20-\x7e]*$/

export function textWidth(text: string): number {
  if (ASCII.test(text)) return text.length
  let width = 0
  for (const character of text) {
    if (!ZERO.test(character)) width += TWO.test(character) ? 2 : 1
  }
  return width
}
