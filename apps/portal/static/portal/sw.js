// The portal as an app: a page for when there is no network, and static files by the name of their
// content. Everything else goes to the network as if this were not here.

const CACHE = 'portal-1'
const OFFLINE = '/portal/offline/'
const HASHED = /^\/static\/.+\.[0-9a-f]{12}\.\w+$/

self.addEventListener('install', (event) => {
  event.waitUntil(keepOfflinePage())
  self.skipWaiting()
})

async function keepOfflinePage() {
  const cache = await caches.open(CACHE)
  const answer = await fetch(OFFLINE, { cache: 'reload' })
  const text = await answer.clone().text()
  await cache.put(OFFLINE, answer)
  await cache.addAll([...text.matchAll(/href="(\/static\/[^"]+\.css)"/g)].map((match) => match[1]))
}

self.addEventListener('activate', (event) => {
  event.waitUntil(removeOldCaches())
})

async function removeOldCaches() {
  const names = await caches.keys()
  const old = names.filter((name) => name.startsWith('portal-') && name !== CACHE)
  await Promise.all(old.map((name) => caches.delete(name)))
  await self.clients.claim()
}

self.addEventListener('fetch', (event) => {
  const { request } = event
  const url = new URL(request.url)
  if (request.method !== 'GET' || url.origin !== self.location.origin) return
  if (request.mode === 'navigate') event.respondWith(fetch(request).catch(() => caches.match(OFFLINE)))
  else if (HASHED.test(url.pathname)) event.respondWith(fromCache(request))
  else if (url.pathname.endsWith('.css')) event.respondWith(fetch(request).catch(() => caches.match(request)))
})

async function fromCache(request) {
  const cache = await caches.open(CACHE)
  const known = await cache.match(request)
  if (known) return known
  const answer = await fetch(request)
  if (answer.ok) await cache.put(request, answer.clone())
  return answer
}

// --- push: what shows notices ---------------------------------------------------------------------

importScripts('/static/portal/sw-push.js')
