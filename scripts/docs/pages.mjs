// Fills the parts between `<!-- generated: name -->` and `<!-- end -->` in the README and the guides.
import { readFile, readdir } from 'node:fs/promises'
import { limitTable } from './limits.mjs'
import { roomChart } from './rooms.mjs'
import { errorTable, eventTable, memberTable, optionTable } from './tables.mjs'

const PART = /(<!-- generated: ([\w-]+)[^>]*-->\n)[\s\S]*?(<!-- end -->)/g

const TABLES = {
  errors: errorTable,
  events: eventTable,
  decisions: decisionList,
  limits: limitTable,
  rooms: roomChart,
  stats: () => memberTable('lib/client.ts', 'ClientStats'),
  emulator: () => memberTable('lib/testing/emulator-options.ts', 'GatewayEmulatorOptions'),
  faults: () => memberTable('lib/testing/emulator-fault.ts', 'GatewayFault'),
  'handler-options': () => memberTable('lib/handlers/token-endpoint.ts', 'TokenHandlerOptions'),
  'client-options': () => optionTable('VKitClientOptions'),
  'cache-options': () => optionTable('CacheOptions', 'cache.'),
  'call-options': () => optionTable('GetSessionTokenOptions'),
  'batch-options': () => optionTable('GetSessionTokensOptions'),
  // Not `js`: docs.test.ts runs such blocks on Node.
  'web-client': async () => `\`\`\`jsx\n${await readFile('examples/web/keep-session.js', 'utf8')}\`\`\``,
}

/** Returns the text of each page, by its path in the repository. */
export async function fillTables() {
  const guides = (await readdir('docs/guides')).filter(name => name.endsWith('.md'))
  const pages = [
    'README.md',
    'docs/architecture.md',
    'docs/decisions/README.md',
    ...guides.map(name => `docs/guides/${name}`),
  ]
  return Promise.all(pages.map(async page => [page, await fill(await readFile(page, 'utf8'), page)]))
}

async function fill(text, page) {
  const tables = new Map()
  for (const [, , name] of text.matchAll(PART)) {
    if (!(name in TABLES)) throw new Error(`${page}: unknown generated part "${name}"`)
    tables.set(name, await TABLES[name]())
  }
  return text.replace(PART, (_, before, name, after) => `${before}\n${tables.get(name)}\n\n${after}`)
}

/** Creates a list of the pages in docs/decisions/, by their headings. */
async function decisionList() {
  const files = (await readdir('docs/decisions')).filter(name => /^\d{4}-/.test(name)).sort()
  const lines = files.map(async name => {
    const [heading] = (await readFile(`docs/decisions/${name}`, 'utf8')).split('\n')
    return `- [${heading.replace(/^# /, '')}](${name})`
  })
  return (await Promise.all(lines)).join('\n')
}
