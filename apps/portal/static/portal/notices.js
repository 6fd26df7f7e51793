// Let this browser show notices, or say why it cannot.

const place = document.getElementById('push')
const state = document.getElementById('push-state')
const button = document.getElementById('push-add')
const token = place.querySelector('[name=csrfmiddlewaretoken]').value
const KNOWN = 'notices-device'

// The worker may choose notices now: portal.js asks again.
sessionStorage.removeItem('portal-no-notices')

function say(text) {
  if (state.textContent !== text) state.textContent = text
}

/** Return why this browser can never show notices; null where it can. */
function obstacle() {
  if (!window.isSecureContext) return place.dataset.insecure
  const isApple = /iPhone|iPad/.test(navigator.userAgent) || (navigator.maxTouchPoints > 1 && /Mac/.test(navigator.platform))
  if (isApple && !window.matchMedia('(display-mode: standalone)').matches) return place.dataset.ios
  const canPush = 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window
  if (!canPush) return place.dataset.none
  return Notification.permission === 'denied' ? place.dataset.denied : null
}

function keyBytes(text) {
  const base64 = text.replaceAll('-', '+').replaceAll('_', '/')
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}

async function registration() {
  const known = await navigator.serviceWorker.getRegistration(place.dataset.scope)
  if (!known) await navigator.serviceWorker.register(place.dataset.worker, { scope: place.dataset.scope })
  return navigator.serviceWorker.ready
}

async function store(subscription) {
  const answer = await fetch(place.dataset.add, {
    method: 'POST', signal: AbortSignal.timeout(20_000),
    headers: { 'Content-Type': 'application/json', 'X-CSRFToken': token },
    body: JSON.stringify(subscription),
  })
  if (!answer.ok) throw new Error(`the subscription was answered by ${answer.status}`)
  const { refused, device_id: deviceId } = await answer.json()
  if (refused) throw new Error(`the subscription was refused: ${refused}`)
  return deviceId
}

async function subscribe() {
  button.disabled = true
  try {
    if ((await Notification.requestPermission()) !== 'granted') return say(place.dataset.denied)
    const { pushManager } = await registration()
    const options = { userVisibleOnly: true, applicationServerKey: keyBytes(place.dataset.key) }
    const deviceId = await store(await pushManager.subscribe(options))
    localStorage.setItem(KNOWN, deviceId)
    window.location.reload()
  } catch (error) {
    say(place.dataset.failed)
    console.warn(error)
  } finally {
    button.disabled = false
  }
}

async function unsubscribe() {
  const known = await navigator.serviceWorker?.getRegistration(place.dataset.scope)
  const subscription = await known?.pushManager?.getSubscription()
  await subscription?.unsubscribe()
  localStorage.removeItem(KNOWN)
}

/** Say whether this browser is one of the listed ones. */
async function look() {
  const own = place.querySelector(`[data-device="${CSS.escape(localStorage.getItem(KNOWN) ?? '')}"]`)
  const why = obstacle()
  if (why && !own) return say(why)
  const known = await navigator.serviceWorker.getRegistration(place.dataset.scope)
  const subscription = await known?.pushManager.getSubscription()
  const isOn = Boolean(own && subscription && Notification.permission === 'granted')
  if (own) own.querySelector('[data-own]').hidden = false
  say(isOn ? place.dataset.on : place.dataset.off)
  button.hidden = isOn
}

button.addEventListener('click', subscribe)
for (const form of place.querySelectorAll('form[data-remove]')) {
  form.addEventListener('submit', async (event) => {
    const isOwn = form.closest('[data-device]').dataset.device === localStorage.getItem(KNOWN)
    if (!isOwn || form.dataset.sent) return
    event.preventDefault()
    form.dataset.sent = 'true'
    await unsubscribe().catch(console.warn)
    form.requestSubmit()
  })
}
look().catch(() => say(place.dataset.none))
