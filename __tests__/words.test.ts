import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { listFiles } from './support/list-files.js'

/** Words that a reader stumbles over, each with what to write. CONTRIBUTING.md has the rule. */
const BANNED: readonly (readonly [RegExp, string])[] = [
  [/\bmend(s|ed|ing)?\b/i, 'fix'],
  [/\bwish(es|ed)?\b/i, 'options'],
  [/\bhast[ey]\b/i, 'a short deadline'],
  [/\bscrub(s|bed|bing)?\b/i, 'redact'],
  [/\btold of\b/i, 'receives'],
  [/\b(some|every)body\b/i, 'a caller, the user, anyone'],
  [/\b(no|any)body\b/i, 'no caller, no user'],
  [/\bwho(so)?ever\b/i, 'a caller, the user, anyone who'],
  [/\bbut for\b/i, 'except'],
  [/\bis no (?!longer\b|more\b)/i, 'is not a'],
  [/\bfares?\b/i, 'succeeds'],
  [/\breckon(s|ed|ing)?\b/i, 'calculation'],
  [/\b(hang(s|ing)?|hung) up\b/i, 'disconnects'],
  [/\b(under|on its|on their) way\b/i, 'in flight, pending'],
  [/\bmay well\b|\bas it were\b|\bbe had\b/i, 'a plain verb'],
]

/** Where a word is meant: a file, and a part of the line. */
const ALLOWED: readonly (readonly [file: string, text: string])[] = [
  ['__tests__/support/servers.ts', "'nobody'"], // A Unix user.
  ['__tests__/support/docs/run-blocks.ts', 'retainAllFiles'], // An option of Jest.
]

const PAGES = ['README.md', 'CHANGELOG.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CODE_OF_CONDUCT.md']
const FOLDERS = ['.github', 'docs', 'lib', 'examples', 'scripts', 'bench', '__tests__']
const TEXT = /\.(md|[cm]?[jt]sx?|sh|ya?ml)$/
const THIS_FILE = '__tests__/words.test.ts'

interface Line {
  readonly file: string
  readonly number: number
  readonly text: string
}

function readLines(file: string): Line[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.map((text, i) => ({ file, number: i + 1, text }))
}

function isAllowed({ file, text }: Line): boolean {
  return ALLOWED.some(([place, part]) => file === place && text.includes(part))
}

function findBanned({ file, number, text }: Line): string[] {
  return BANNED.flatMap(([word, instead]) => {
    const found = word.exec(text)
    return found ? [`${file}:${number}: "${found[0].trim()}": write "${instead}"`] : []
  })
}

describe('the words of this project', () => {
  const files = [...PAGES, ...FOLDERS.flatMap(folder => listFiles(folder, TEXT))].filter(file => file !== THIS_FILE)
  const lines = files.flatMap(readLines)

  it('are plain', () => {
    expect(files.length).toBeGreaterThan(200)
    expect(lines.filter(line => !isAllowed(line)).flatMap(findBanned)).toEqual([])
  })

  it.each(['Mend the set-up.', 'A call is no probe.', 'nobody waits', 'A caller hangs up.', 'all but for one'])(
    'would be found banned: %s',
    text => {
      expect(findBanned({ file: 'planted.md', number: 7, text })).toEqual([expect.stringMatching(/^planted\.md:7: "/)])
    },
  )

  it.each(['The method is not a getter.', 'It is no longer open.', 'The welfare of users.', 'Recommended: amend it.'])(
    'would be found plain: %s',
    text => {
      expect(findBanned({ file: 'plain.md', number: 1, text })).toEqual([])
    },
  )

  it('has no exception for a line that is gone', () => {
    const isGone = ([file, part]: readonly [string, string]): boolean =>
      !lines.some(line => line.file === file && line.text.includes(part) && findBanned(line).length > 0)
    expect(ALLOWED.filter(isGone)).toEqual([])
  })
})
