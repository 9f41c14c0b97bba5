import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterThisTest } from './gateway.js'
import type { Need } from './needs.js'
import { findBinary } from './servers.js'

const binary = findBinary('chromium') ?? findBinary('google-chrome')

export const chromiumOnPath: Need = { what: 'chromium on PATH', isMet: binary !== undefined }
if (!chromiumOnPath.isMet && process.env['VKIT_REQUIRE_CHROMIUM']) {
  throw new Error(`VKIT_REQUIRE_CHROMIUM needs ${chromiumOnPath.what}`)
}

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

/** Without these, Chromium connects to its vendor, and cannot run as root. */
const ARGUMENTS = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']

/** Starts the Chromium of the machine, because a driver's own download needs a network. */
export async function startBrowser(): Promise<Browser> {
  return chromium.launch({
    ...(binary !== undefined && { executablePath: binary }),
    args: ARGUMENTS,
    chromiumSandbox: false,
  })
}

export interface OpenedPage {
  readonly page: Page
  /** Errors, messages of the console of type "error", and refusals by the content security policy. */
  readonly problems: string[]
  /** Origins that the page requested something from. */
  readonly origins: Set<string>
}

/** Opens an empty page in a profile of its own, which this test closes. */
export async function openPage(browser: Browser): Promise<OpenedPage> {
  const context = await browser.newContext()
  afterThisTest(() => context.close())
  const page = await context.newPage()
  const problems: string[] = []
  const origins = new Set<string>()
  page.on('pageerror', error => problems.push(error.message))
  page.on('console', message => {
    if (message.type() === 'error') problems.push(message.text())
  })
  page.on('request', request => origins.add(new URL(request.url()).origin))
  return { page, problems, origins }
}

/** The part of axe's results that is used here. Its own types need those of the DOM. */
interface AxeResults {
  readonly violations: readonly {
    readonly id: string
    readonly help: string
    readonly impact: string
    readonly nodes: readonly { readonly html: string }[]
  }[]
}

/** Returns the serious and critical findings of axe, each with the elements it is about. */
export async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(readFileSync(axe, 'utf8'))
  const { violations } = await page.evaluate<AxeResults>('axe.run()')
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`)
}
