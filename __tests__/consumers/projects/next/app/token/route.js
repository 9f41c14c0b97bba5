export { getToken as GET } from '../get-token.js'

export const dynamic = 'force-dynamic'
