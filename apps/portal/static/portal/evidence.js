// Upload files one by one. A file is kept on this device until the server has it, so that an upload
// goes on after a lost connection or a reload. The server takes the same file twice as one.

const PATIENCE_MS = 20_000
const RETRY_AFTER = [1000, 2000, 4000, 8000, 15_000, 30_000]
const THUMB = 96

export function attachEvidence({ key, base, store, epoch, token, refresh, stored }) {
  const list = document.getElementById('evidence-list')
  const template = document.getElementById('evidence-item')
  const texts = document.getElementById('evidence-texts').dataset
  const queue = []
  followMissing(list, texts.textMissing)
  let running = null
  let refused = null

  // Return once the server has answered.
  async function add(files) {
    const added = files.map((file) => ({ id: crypto.randomUUID(), key, file, at: Date.now() }))
    added.forEach(show)
    queue.push(...added)
    await Promise.all(added.map(({ id, file, at }) => store.put('uploads', id, { id, key, file, at })))
    while (queue.length) await run()
  }

  async function resume() {
    const left = ((await store.all('uploads')) ?? []).filter((one) => one.key === key)
    for (const upload of left.sort((a, b) => a.at - b.at)) {
      if (queue.some((one) => one.id === upload.id)) continue
      show(upload)
      queue.push(upload)
    }
    while (queue.length) await run()
  }

  function show(upload) {
    const item = template.content.firstElementChild.cloneNode(true)
    item.querySelector('bdi').textContent = upload.file.name
    item.querySelector('progress').setAttribute('aria-label', `${texts.textProgress}: ${upload.file.name}`)
    const button = item.querySelector('[data-remove]')
    button.setAttribute('aria-label', `${texts.textRemove} ${upload.file.name}`)
    button.addEventListener('click', () => remove(upload))
    upload.item = item
    list.append(item)
    drawThumb(upload)
  }

  // Of the file on this device: what is stored on the server is never shown by a browser.
  async function drawThumb(upload) {
    if (!upload.file.type.startsWith('image/') || upload.file.type.includes('svg')) return
    try {
      const picture = await createImageBitmap(upload.file)
      const scale = THUMB / Math.min(picture.width, picture.height)
      const canvas = Object.assign(document.createElement('canvas'), { width: THUMB, height: THUMB })
      const [width, height] = [picture.width * scale, picture.height * scale]
      canvas.getContext('2d').drawImage(picture, (THUMB - width) / 2, (THUMB - height) / 2, width, height)
      upload.thumb = canvas.toDataURL('image/jpeg', 0.7)
      const image = Object.assign(new Image(48, 48), { src: upload.thumb, alt: '', className: 'thumb' })
      upload.item.querySelector('.thumb').replaceWith(image)
      if (upload.evidence) await keepThumb(upload)
    } catch { /* it is no picture, or this browser cannot read it */ }
  }

  const keepThumb = ({ evidence, thumb, at }) => store.put('thumbs', evidence, { key, at, url: thumb })

  function run() {
    running ??= work().finally(() => { running = null })
    return running
  }

  async function work() {
    let failures = 0
    while (queue.length) {
      const upload = queue[0]
      const answer = await send(upload)
      if (answer === null || answer.status >= 500 || answer.status === 429 || answer.status === 401) {
        say(upload, texts.textWaiting)
        await pause(RETRY_AFTER[Math.min(failures++, RETRY_AFTER.length - 1)])
        if (answer?.status === 401) await refresh()
        continue
      }
      if (answer.status === 403 && !upload.isSecond) {
        upload.isSecond = true
        await refresh()
        continue
      }
      failures = 0
      if (queue[0] === upload) queue.shift()
      await store.remove('uploads', upload.id)
      if (answer.status === 201) await finish(upload, answer.body)
      else fail(upload, answer.body.detail ?? (answer.status === 413 ? texts.textLarge : undefined))
    }
  }

  // Wait, or less where the connection comes back.
  function pause(milliseconds) {
    return new Promise((done) => {
      const timer = setTimeout(done, milliseconds)
      addEventListener('online', () => { clearTimeout(timer); done() }, { once: true })
    })
  }

  // A file that is too large is not sent at all.
  function send(upload) {
    if (upload.file.size > Number(texts.maxBytes)) return Promise.resolve({ status: 413, body: {} })
    return new Promise((resolve) => {
      const request = new XMLHttpRequest(), body = new FormData()
      upload.request = request
      body.append('epoch', epoch)
      body.append('file', upload.file, upload.file.name)
      request.open('POST', `${base}evidence`)
      request.setRequestHeader('Accept', 'application/json')
      request.setRequestHeader('X-CSRFToken', token())
      request.upload.addEventListener('progress', (event) => {
        upload.item.querySelector('progress').value = event.lengthComputable ? event.loaded / event.total : 0
      })
      request.addEventListener('loadend', () => {
        let content = {}
        try { content = JSON.parse(request.responseText) } catch { /* a page, not JSON */ }
        resolve(request.status ? { status: content.refused ?? request.status, body: content } : null)
      })
      say(upload, texts.textUploading)
      request.send(body)
    })
  }

  function say(upload, text) {
    upload.item.querySelector('[data-state]').textContent = text
  }

  async function finish(upload, { id, filename, size }) {
    upload.evidence = id
    stored()
    const known = list.querySelector(`[data-evidence="${id}"]`)
    if (known && known !== upload.item) return upload.item.remove()
    upload.item.dataset.evidence = id
    upload.item.querySelector('progress').hidden = true
    upload.item.querySelector('bdi').textContent = filename
    upload.item.querySelector('a').href = `${base}files/${id}`
    say(upload, size < 1024 * 1024 ? `${Math.ceil(size / 1024)} KB` : `${(size / 1024 / 1024).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 })} MB`)
    if (upload.thumb) await keepThumb(upload)
    return undefined
  }

  function fail(upload, text) {
    const error = upload.item.querySelector('.error')
    upload.item.querySelector('progress').hidden = true
    error.textContent = text ?? texts.textFailed
    error.hidden = false
    error.setAttribute('role', 'alert')
    upload.item.tabIndex = -1
    refused ??= upload.item
    say(upload, '')
  }

  async function remove(upload) {
    upload.request?.abort()
    const place = queue.indexOf(upload)
    if (place >= 0) queue.splice(place, 1)
    if (refused === upload.item) refused = null
    await store.remove('uploads', upload.id)
    if (upload.evidence) {
      const body = new FormData()
      body.append('epoch', epoch)
      const response = await fetch(`${base}evidence/${upload.evidence}/remove`, {
        method: 'POST', body, signal: AbortSignal.timeout(PATIENCE_MS),
        headers: { Accept: 'application/json', 'X-CSRFToken': token() },
      }).catch(() => null)
      if (response?.status !== 204) return fail(upload)
      await store.remove('thumbs', upload.evidence)
    }
    upload.item.remove()
    document.getElementById('evidence').focus()
    return undefined
  }

  // Return the first file that was refused since the last look; null without one.
  function takeRefused() {
    const item = refused
    refused = null
    return item
  }

  return { add, resume, takeRefused }
}

// Keep the line of what is missing that leads here: it ends with the first file that the server has.
// A check of the fields writes all lines again, as of a moment ago.
function followMissing(list, text) {
  const missing = document.getElementById('missing'), lines = missing.querySelector('ul')
  function look() {
    const line = lines.querySelector('a[href="#evidence"]')?.parentElement
    const isMissing = Boolean(text) && !list.querySelector('[data-evidence]')
    if (isMissing === Boolean(line)) return
    if (line) line.remove()
    else {
      const link = Object.assign(document.createElement('a'), { href: '#evidence', textContent: text })
      lines.append(document.createElement('li'))
      lines.lastChild.append(link)
    }
    missing.hidden = !lines.children.length
  }
  const observer = new MutationObserver(look)
  observer.observe(list, { childList: true, subtree: true, attributeFilter: ['data-evidence'] })
  observer.observe(lines, { childList: true })
  look()
}
