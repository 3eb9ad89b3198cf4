// Follows a request while it is worked on: asks how far it is, and moves the bar. No reload, no framework.
(() => {
    "use strict";
    const page = document.getElementById("request");
    if (!page) return;
    const EVERY = 1000;
    const AFTER_TROUBLE = 5000;
    const numbers = [...page.querySelectorAll("[data-number]")].map((row) => row.dataset.number);

    function draw(counts) {
        for (const part of page.querySelectorAll("[data-part]")) {
            part.style.flexGrow = counts[part.dataset.part];
            part.title = `${part.dataset.part}: ${counts[part.dataset.part]}`;
        }
        for (const figure of page.querySelectorAll("[data-count]")) {
            figure.textContent = counts[figure.dataset.count];
        }
    }

    function drawMessages(messages) {
        for (const [number, [status, attempts]] of Object.entries(messages)) {
            const row = page.querySelector(`[data-number="${number}"]`);
            const label = row.querySelector("[data-status]");
            label.textContent = status;
            label.className = `ledger-label ${status.toLowerCase()}`;
            row.querySelector("[data-attempts]").textContent = attempts;
        }
    }

    // Errors, results and the timeline are the server's to write: they are taken from the page as it is now, once.
    async function showTheEnd() {
        const answer = await fetch(window.location.href, {credentials: "same-origin"});
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const name of ["timeline", "messages"]) {
            document.getElementById(name).replaceWith(fresh.getElementById(name));
        }
        const buttons = page.querySelector(".buttons");
        buttons.replaceWith(fresh.querySelector("#request .buttons"));
        document.getElementById("progress-said").textContent = "Finished";
        page.dataset.over = "1";
    }

    async function follow() {
        if (document.hidden) {
            setTimeout(follow, EVERY);
            return;
        }
        try {
            const answer = await fetch(`${page.dataset.progress}?numbers=${numbers.join(",")}`, {credentials: "same-origin"});
            if (!answer.ok) throw new Error(`status ${answer.status}`);
            const progress = await answer.json();
            draw(progress.counts);
            drawMessages(progress.messages);
            if (progress.over) {
                await showTheEnd();
                return;
            }
            document.getElementById("progress-said").textContent = "In progress";
            setTimeout(follow, EVERY);
        } catch (trouble) {
            document.getElementById("progress-said").textContent = "The server can't be reached; trying again";
            setTimeout(follow, AFTER_TROUBLE);
        }
    }

    draw(Object.fromEntries([...page.querySelectorAll("[data-count]")].map((one) => [one.dataset.count, one.textContent])));
    if (!page.dataset.over) setTimeout(follow, EVERY);
})();
