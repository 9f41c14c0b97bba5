export { getToken as GET } from '../get-token.js'

export const runtime = 'edge'
export const dynamic = 'force-dynamic'
