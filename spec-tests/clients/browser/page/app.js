// Hydrogen, put together from its SDK: every view is the client's own, nothing is drawn here.

import {
    Client,
    FeatureSet,
    Platform,
    RootViewModel,
    createNavigation,
    createRouter,
} from "hydrogen-view-sdk";

async function main() {
    const homeserver = new URLSearchParams(location.search).get("homeserver");
    const platform = new Platform({
        container: document.body,
        assetPaths: {
            downloadSandbox: "theme/download-sandbox.html",
            worker: "theme/main.js",
            olm: { wasm: "olm/olm.wasm", wasmBundle: "olm/olm.js", legacyBundle: "olm/olm_legacy.js" },
            serviceWorker: "sw.js",
        },
        config: { defaultHomeServer: homeserver },
    });
    await platform.init();
    const navigation = createNavigation();
    platform.setNavigation(navigation);
    const urlRouter = createRouter({ navigation, history: platform.history });
    urlRouter.attach();
    const features = await FeatureSet.load(platform.settingsStorage);
    // Hydrogen has no form for a new account, its SDK has the requests.
    window.register = (username, password) => register(new Client(platform, features), homeserver, username, password);
    const root = new RootViewModel({ platform, urlRouter, navigation, features });
    platform.createAndMountRootView(root);
    await root.load();
}

async function register(client, homeserver, username, password) {
    const registration = await client.startRegistration(homeserver, username, password, "Hydrogen");
    let stage = await registration.start();
    while (stage) stage = await registration.submitStage(stage);
    return registration.authData.userId;
}

main();
