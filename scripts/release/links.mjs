import path from 'node:path'
import { NotChecked } from '../../__tests__/consumers/lines.mjs'
import { importBundled } from '../import-bundled.mjs'

const { readLinks, targetExists, REPOSITORY, SHIPPED } = await importBundled(
  "export * from '../__tests__/support/docs/markdown.js'",
  'node',
)

/** Fails if a link of a packed page leads to a file that neither the package nor the repository has. */
export async function checkLinks(root) {
  const links = linksOf(root).filter(({ target }) => target.startsWith(REPOSITORY) || !isUrl(target))
  const broken = links.filter(({ page, target }) => !targetExists(path.join(root, page), target))
  if (broken.length > 0) throw new Error(broken.map(({ page, line, target }) => `${page}:${line} ${target}`).join('\n'))
  return `${links.length} links`
}

/** Fails if another site responds that a page is gone. The page of the release itself does not exist yet. */
export async function checkWebLinks(root) {
  const urls = linksOf(root)
    .map(({ target }) => target)
    .filter(url => isUrl(url) && !url.startsWith(REPOSITORY) && !url.includes('/releases/tag/'))
  const statuses = await Promise.all([...new Set(urls)].map(async url => ({ url, status: await statusOf(url) })))
  const gone = statuses.filter(({ status }) => status === 404 || status === 410)
  if (gone.length > 0) throw new Error(gone.map(({ url, status }) => `${status} ${url}`).join('\n'))
  const unknown = statuses.filter(({ status }) => status === undefined).map(({ url }) => url)
  if (unknown.length > 0) throw new NotChecked(`no response from ${unknown.join(', ')}`)
  return `${statuses.length} links`
}

function linksOf(root) {
  return SHIPPED.flatMap(page => readLinks(path.join(root, page)).map(link => ({ page, ...link })))
}

function isUrl(target) {
  return /^[a-z][a-z+.-]*:/i.test(target)
}

async function statusOf(url) {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(15_000) })).status
  } catch {
    return undefined
  }
}
