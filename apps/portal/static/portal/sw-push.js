// Show what the service sends by web push, and open its page. Loaded by the portal's service worker.

self.addEventListener('push', (event) => {
  event.waitUntil(show(event.data?.json() ?? {}))
})

async function show(notice) {
  const windows = await self.clients.matchAll({ type: 'window', includeUncontrolled: true })
  // A page that is visible shows it already; browsers ask for no notification then.
  if (windows.some((page) => page.visibilityState === 'visible')) return
  await self.registration.showNotification(notice.title ?? 'BioLayer', {
    body: notice.body ?? '',
    tag: notice.tag ?? 'notices',
    // The last one replaces one that is still shown, and is heard all the same.
    renotify: true,
    data: { url: notice.url ?? '/portal/' },
  })
}

self.addEventListener('notificationclick', (event) => {
  event.notification.close()
  event.waitUntil(open(event.notification.data?.url ?? '/portal/'))
})

// A page of the portal that is open goes there; without one, a new page does.
async function open(address) {
  const url = new URL(address, self.location.origin)
  const target = url.origin === self.location.origin ? url.href : '/portal/'
  const windows = await self.clients.matchAll({ type: 'window' })
  const page = windows.find((window) => new URL(window.url).pathname.startsWith('/portal/'))
  if (!page) return self.clients.openWindow(target)
  await page.focus()
  return page.navigate(target)
}
