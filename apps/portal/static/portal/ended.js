// A run that ended, or that is with another worker: what this device still has of it is sent, so that
// it is shown here and comes back with the task, and is then deleted.

const { run, owner, status } = document.getElementById('ended-run').dataset
const page = document.getElementById('portal').dataset
const key = `${owner}/${run}`

const { deleteRun, sendKept } = await import(page.device)
const sent = status === 'completed' ? 'none' : await sendKept(page, key)
if (sent && status !== 'lost') await deleteRun(page, key)
if (sent === 'sent') location.reload()
