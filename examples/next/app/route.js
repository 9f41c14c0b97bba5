export function GET() {
  return new Response('Session Service')
}
