function r(n){let e=document.getElementById(n);if(e===null)throw new Error(`the page has no element ${n}`);return e}function d(n,e={},...t){let i=Object.assign(document.createElement(n),e);return i.append(...t),i}function he(n,e){let t=d("a",{href:URL.createObjectURL(n),download:e});t.click(),setTimeout(()=>URL.revokeObjectURL(t.href),6e4)}var ce;function _(n,e=!1){r("live").textContent=n;let t=r("toast");t.textContent=n,t.hidden=!e,clearTimeout(ce),e&&(ce=setTimeout(()=>t.hidden=!0,5e3))}async function C(n){try{return await navigator.clipboard.writeText(n),!0}catch{return!1}}var w=class extends Error{constructor(t,i,s){super(i);this.status=t;this.retryAfter=s}status;retryAfter},A=class extends Error{},Y="";function ue(n){Y=n}async function L(n,e={}){let t=new Headers(e.headers);Y!==""&&t.set("Authorization",`Bearer ${Y}`);let i;try{i=await fetch(n,{...e,headers:t,cache:"no-store"})}catch(s){throw e.signal?.aborted?s:new A}if(!i.ok)throw await ht(i);return i}async function ht(n){let e=await n.json().catch(()=>null),t=e?.detail??e?.title??`${n.status} ${n.statusText}`;return new w(n.status,t,Number(n.headers.get("Retry-After"))||1)}async function me(){return(await L("/v1/models")).json()}async function pe(){try{return await L("/readyz"),!0}catch(n){if(n instanceof w&&n.status===503)return!1;throw n}}function fe(n,e){return new Promise((t,i)=>{let s=()=>i(e.reason),o=setTimeout(()=>{e.removeEventListener("abort",s),t()},n*1e3);e.addEventListener("abort",()=>(clearTimeout(o),s()),{once:!0})})}async function ge(n,e,t){let i=new FormData;for(let[s,o]of Object.entries(e))i.append(s,o);for(i.append("file",n);;)try{return await(await L("/v1/upscale",{method:"POST",body:i,headers:{Prefer:"respond-async"},signal:t})).json()}catch(s){if(!(s instanceof w)||s.status!==429)throw s;await fe(s.retryAfter,t)}}var ut=5;async function*ve(n,e){for(let t=0;;t+=1){try{for await(let i of mt(await L(n.links.events,{signal:e}))){let s=JSON.parse(i);if(t=0,yield s,s.state!=="waiting"&&s.state!=="running")return}}catch(i){if(e.aborted||i instanceof w||t>=ut)throw i}await fe(1,e)}}async function*mt(n){if(n.body===null)return;let e=n.body.pipeThrough(new TextDecoderStream).getReader(),t="";for(;;){let{done:i,value:s}=await e.read();if(i)return;let o=(t+s).split(`

`);t=o.pop()??"";for(let a of o){let c=a.split(`
`).filter(u=>u.startsWith("data:"));c.length>0&&(yield c.map(u=>u.slice(5).trim()).join(`
`))}}}async function D(n,e,t){let i=await L(`${n.links.result}?${e}`,{signal:t}),s=o=>i.headers.get(`SR4-${o}`)??"";return{data:await i.blob(),model:s("Model"),backend:s("Backend"),version:s("Version"),seed:Number(s("Seed")),samples:Number(s("Samples")),detail:s("Detail"),evidence:s("Evidence"),scale:s("Scale"),consistency:Number(s("Consistency")),sha256:s("Input-SHA256"),settings:JSON.parse(s("Settings")),provenance:JSON.parse(s("Provenance")),notes:JSON.parse(s("Notes")||"[]")}}async function we(n){await L(n.links.self,{method:"DELETE",keepalive:!0})}var X=["auto","exact","jpeg","noise","none"],Z=["png","jpg","webp","avif","tiff","jp2","gif","bmp","npy"];var B={model:"auto",detail:null,sizeBy:"model",size:4,samples:1,seed:0,evidence:"auto",format:"png"};function H(n){let e={model:n.model,seed:String(n.seed),evidence:n.evidence,format:"png"};return n.detail!==null&&(e.detail=String(n.detail)),n.sizeBy!=="model"&&(e[n.sizeBy]=String(n.size)),n.samples>1&&(e.samples=String(n.samples),e.uncertainty="true"),e}function be(n,e){let t=(a,c,u,g=!0)=>{let k=Number(n.get(a)??NaN);return k>=c&&k<=u&&(!g||Number.isInteger(k))?k:null},i=(a,c)=>{let u=n.get(a);return u!==null&&c.includes(u)?u:null},s=t("width",1,1e6),o=t("scale",1,1e3,!1);return{model:n.get("model")??e.model,detail:t("detail",0,1,!1),sizeBy:s!==null?"width":o!==null?"scale":"model",size:s??o??e.size,samples:t("samples",1,8)??e.samples,seed:t("seed",0,Number.MAX_SAFE_INTEGER)??e.seed,evidence:i("evidence",X)??e.evidence,format:i("format",Z)??e.format}}var ft=["done","failed","cancelled"],gt=3;function y(n){return ft.includes(n.state)}function b(n){return n.result?.pictures[n.chosen]??null}var I=class{constructor(e){this.changed=e}changed;runs=[];selected=null;numbers=0;add(e,t){let i=e.map(s=>this.open(s,{...t}));this.runs.unshift(...i.toReversed()),this.selected=i[0]??this.selected,this.next()}select(e){this.selected=e,this.changed()}choose(e,t){e.chosen=t,this.changed()}cancel(e){y(e)||(e.state="cancelled",e.stop.abort(),this.next())}remove(e){this.cancel(e);let t=this.runs.indexOf(e);this.runs.splice(t,1),this.selected===e&&(this.selected=this.runs[Math.min(t,this.runs.length-1)]??null),URL.revokeObjectURL(e.url);for(let i of e.result?.pictures??[])URL.revokeObjectURL(i.url);e.result?.uncertainty&&URL.revokeObjectURL(e.result.uncertainty),this.changed()}async saved(e,t){let i=b(e);if(i===null)throw new Error("this run has no picture");if(t==="png")return i.data;let s={format:t};for(let[u,g]of Object.entries(i.settings))s[u]=String(g);let{signal:o}=new AbortController,a=await ke(e.file,s,o),{data:c}=await D(a,"show=result",o);return Q(a),c}open(e,t){let i={id:this.numbers+=1,file:e,settings:t,url:URL.createObjectURL(e),given:null,state:"queued",share:0,secondsLeft:null,result:null,chosen:0,error:null,stop:new AbortController};return _e(i.url).then(s=>{i.given=s,this.changed()}),i}next(){let e=this.runs.filter(i=>!y(i)&&i.state!=="queued").length,t=this.runs.filter(i=>i.state==="queued").toReversed();for(let i of t.slice(0,Math.max(0,gt-e)))this.draw(i);this.changed()}async draw(e){let t=i=>{y(e)||(e.state=i,this.changed())};try{t("sending");let i=await ke(e.file,H(e.settings),e.stop.signal,o=>{e.share=o.share,e.secondsLeft=o.seconds_left,(o.state==="waiting"||o.state==="running")&&t(o.state)});t("fetching");let s=await vt(i,e.stop.signal);if(Q(i),y(e))return;e.result=s,e.state="done"}catch(i){if(y(e))return;e.error=i,e.state="failed"}this.changed(e),this.next()}};async function ke(n,e,t,i=()=>{}){let s=await ge(n,e,t);try{i(s);for await(s of ve(s,t))i(s)}catch(o){throw Q(s),o}if(s.state!=="done")throw new w(500,s.error??s.state,1);return s}function Q(n){we(n).catch(()=>{})}async function vt(n,e){let t=Array.from({length:n.samples},(u,g)=>`sample=${g+1}`),i=t.length>0?t:["show=result"],s=await Promise.all(i.map(u=>D(n,u,e))),o=n.uncertainty?await D(n,"show=uncertainty",e):null,a=s.map(u=>({...u,url:URL.createObjectURL(u.data)})),c=await _e(a[0].url);if(c===null)throw new Error("this browser cannot show the result");return{pictures:a,uncertainty:o===null?null:URL.createObjectURL(o.data),...c}}async function _e(n){let e=new Image;e.src=n;try{await e.decode()}catch{return null}return{width:e.naturalWidth,height:e.naturalHeight}}var xe={language:"Sprache",skip:"Zum Bild springen",theme_light:"Helle Ansicht einschalten",theme_dark:"Dunkle Ansicht einschalten",server_ready:"Bereit",server_loading:"Lädt seine Modelle",server_offline:"Server nicht erreicht",server_locked:"Schlüssel nötig",offline_title:"Der Server antwortet nicht",offline_text:"Es geht nichts verloren: Ihre Bilder bleiben hier. Die Seite sucht den Server alle paar Sekunden; falls Sie ihn selbst gestartet haben, läuft „sr4 serve“ noch?",hero_title:`Aus wenigen Pixeln
ein ganzes Bild.`,hero_text:"SR4 zeichnet, was ein kleines Bild offen lässt, und hält sich an das, was es sagt: Wieder verkleinert ist das Ergebnis Ihr Bild.",choose:"Bilder wählen",take:"Foto aufnehmen",or_drop:"oder irgendwo auf diese Seite ziehen, oder eines einfügen",examples:"Oder eines von diesen",example_astronaut:"Ein Gesicht aus 16 × 16 Pixeln",example_coffee:"Eine Tasse Kaffee, 150 × 100, JPEG",example_chelsea:"Eine Katze, 96 × 64",try_face:"Dieses Gesicht versuchen",drop_here:"Loslassen zum Vergrößern",private_note:"Bilder gehen nur an diesen Server und bleiben dort höchstens Minuten.",settings:"Einstellungen",model:"Modell",model_auto:"Automatisch",model_auto_about:"Gewählt nach dem, was jedes Bild zeigt.",model_about:"{scale}-mal so groß, {parameters} Millionen Parameter",detail:"Detail",detail_own:"wie das Modell",detail_soft:"treu",detail_sharp:"lebendig",size:"Größe",size_model:"Was das Modell gibt",size_scale:"So viele Male so groß",size_width:"Breite in Pixeln",size_value:"Wert der Größe",samples:"Entwürfe",samples_hint:"Mehrere zeigen, was das Bild noch sein könnte und worin sie sich unterscheiden.",seed:"Startzahl",seed_dice:"Eine andere Startzahl",evidence:"Das Bild gilt als",evidence_auto:"was die Datei nahelegt",evidence_exact:"genaue Pixel",evidence_jpeg:"JPEG mit seinen Verlusten",evidence_noise:"verrauscht",evidence_none:"bloßer Hinweis: an nichts halten",format:"Speichern als",again:"Noch einmal vergrößern",again_hint:"Einstellungen gelten für das nächste Bild und noch einmal für dieses.",settings_hint:"Sie gelten für die Bilder, die Sie als Nächstes hinzufügen.",session:"Diese Sitzung",session_note:"Bleibt nur in diesem Tab",add:"Bilder hinzufügen",before:"Vorher",after:"Nachher",compare:"Vorher und nachher vergleichen",compare_value:"{percent} % vorher",viewer:"Bildansicht. Plus und Minus zoomen, 0 passt ein, 1 zeigt Pixel für Pixel, Pfeiltasten mit Umschalt verschieben.",zoom_in:"Vergrößern",zoom_out:"Verkleinern",fit:"Einpassen",fit_label:"Bild in die Ansicht einpassen",one_to_one:"1:1",one_to_one_label:"Pixel für Pixel zeigen",zoom_now:"Zoom",tools:"Ansicht",uncertainty:"Wo Entwürfe abweichen",uncertainty_legend:"Wie weit Entwürfe an einem Pixel abweichen, in Stufen von 255 (Standardabweichung)",uncertainty_more:"{levels}+",size_change:"{from} zu {to}",state_queued:"Wartet, bis es an der Reihe ist",state_sending:"Wird gesendet",state_waiting:"Wartet beim Server",state_running:"Wird gezeichnet, {percent} %",state_running_left:"Wird gezeichnet, {percent} %, noch {seconds} s",state_fetching:"Ergebnis wird geholt",state_done:"Fertig",state_failed:"Fehlgeschlagen",state_cancelled:"Abgebrochen",progress:"Fortschritt",cancel:"Abbrechen",cancel_named:"{name} abbrechen",remove_named:"{name} entfernen",select_named:"{name}: {state}",retry:"Noch einmal versuchen",failed_title:"Kein Ergebnis für dieses Bild",cancelled_title:"Von Ihnen abgebrochen",no_preview:"Dieser Browser kann solche Dateien nicht zeigen. Der Server liest sie vielleicht trotzdem.",promise_exact:"Verkleinert ergibt dieses Bild wieder Ihr Bild: Abweichung {off}.",promise_jpeg:"Verkleinert ergibt dieses Bild wieder, was Ihre JPEG-Datei sagt: Abweichung {off}.",promise_noise:"Verkleinert ergibt dieses Bild wieder Ihr Bild, bis auf dessen Rauschen: Abweichung {off}.",promise_none:"Dieses Bild wurde nicht an Ihres gebunden: Verkleinert weicht es um {off} ab.",off_little:"weniger als 0,1 von 255 Stufen",off_levels:"{levels} von 255 Stufen",download:"Herunterladen",download_as:"Format der Datei",downloading:"Datei wird erstellt",link:"Link kopieren",link_copied:"Link kopiert. Er enthält die Einstellungen, nicht das Bild.",link_shown:"Die Adresszeile enthält jetzt den Link: Einstellungen, nicht das Bild.",details:"Einzelheiten",close:"Schließen",samples_title:"Entwürfe",samples_note:"Alle passen gleich gut zu Ihrem Bild.",sample_named:"Entwurf {number}",details_title:"Wie dieses Bild entstand",d_name:"Datei",d_model:"Modell",d_licence:"Lizenz der Gewichte",d_seed:"Startzahl",d_samples:"Entwürfe",d_detail:"Detail",d_evidence:"Gilt als",d_scale:"Faktor",d_size:"Größe",d_consistency:"Konsistenz × 1e-5",d_backend:"Laufzeit",d_version:"Version",d_input:"SHA-256 Ihrer Datei",d_settings:"Um es noch einmal zu machen",d_provenance:"Herkunft, wie in der Datei",copy:"Kopieren",copied:"Kopiert",link_needs:"Dieser Link bringt Einstellungen mit, die eingetragen sind. Er entstand mit dem Bild „{name}“ (SHA-256 {sha}…): Fügen Sie es hinzu, um dasselbe Ergebnis zu bekommen.",link_example:"Dieses Beispiel nehmen",link_matches:"Das ist das Bild des Links.",link_differs:"Das ist ein anderes Bild als das des Links; die Einstellungen sind dieselben.",dismiss:"Ausblenden",key_title:"Dieser Server verlangt einen Schlüssel",key_text:"Wer ihn betreibt, kann ihn nennen. Der Schlüssel bleibt in diesem Tab.",key_label:"API-Schlüssel",key_use:"Diesen Schlüssel nehmen",not_pictures:"Darin ist keine Datei zum Vergrößern.",said_done:"{name} ist fertig.",said_failed:"{name} ist fehlgeschlagen: {detail}",error_offline:"Der Server antwortet nicht. Erwartet wird ein laufender: noch einmal versuchen, wenn er wieder da ist.",error_lost:"Der Server kennt diese Arbeit nicht mehr. Noch einmal versuchen."};var Se={language:"Language",skip:"Skip to the picture",theme_light:"Switch to the light theme",theme_dark:"Switch to the dark theme",server_ready:"Ready",server_loading:"Loading its models",server_offline:"Server not reached",server_locked:"Key needed",offline_title:"The server does not answer",offline_text:"Nothing is lost: your pictures stay here. The page looks for the server every few seconds; if you started it yourself, is “sr4 serve” still running?",hero_title:`From a few pixels,
a whole picture.`,hero_text:"SR4 draws the detail that a small picture leaves open, and keeps to what it does say: scaled back down, the result is your picture again.",choose:"Choose pictures",take:"Take a photo",or_drop:"or drop them anywhere on this page, or paste one",examples:"Or try one of these",example_astronaut:"A face of 16 × 16 pixels",example_coffee:"A cup of coffee, 150 × 100, JPEG",example_chelsea:"A cat, 96 × 64",try_face:"Try this face",drop_here:"Let go to upscale",private_note:"Pictures go to this server only, and are kept for minutes at most.",settings:"Settings",model:"Model",model_auto:"Automatic",model_auto_about:"Chosen by what each picture shows.",model_about:"{scale}× larger, {parameters} million parameters",detail:"Detail",detail_own:"model’s own",detail_soft:"faithful",detail_sharp:"vivid",size:"Size",size_model:"What the model gives",size_scale:"Times as large",size_width:"Width in pixels",size_value:"Value of the size",samples:"Samples",samples_hint:"Several show what else the picture could be, and where they differ.",seed:"Seed",seed_dice:"Another seed",evidence:"The picture counts as",evidence_auto:"what its file suggests",evidence_exact:"exact pixels",evidence_jpeg:"JPEG, with its losses",evidence_noise:"noisy",evidence_none:"a hint only: hold to nothing",format:"Save as",again:"Upscale again",again_hint:"Settings apply to the next picture, and to this one again.",settings_hint:"They apply to the pictures that you add next.",session:"This session",session_note:"Kept in this tab only",add:"Add pictures",before:"Before",after:"After",compare:"Compare before and after",compare_value:"{percent} % before",viewer:"Picture viewer. Plus and minus zoom, 0 fits, 1 shows pixel by pixel, arrow keys with Shift move.",zoom_in:"Zoom in",zoom_out:"Zoom out",fit:"Fit",fit_label:"Fit the picture into the view",one_to_one:"1:1",one_to_one_label:"Show pixel by pixel",zoom_now:"Zoom",tools:"View",uncertainty:"Where samples differ",uncertainty_legend:"How far samples differ at a pixel, in levels of 255 (standard deviation)",uncertainty_more:"{levels}+",size_change:"{from} to {to}",state_queued:"Waiting for its turn",state_sending:"Sending",state_waiting:"Waiting at the server",state_running:"Drawing, {percent} %",state_running_left:"Drawing, {percent} %, {seconds} s left",state_fetching:"Fetching the result",state_done:"Done",state_failed:"Failed",state_cancelled:"Cancelled",progress:"Progress",cancel:"Cancel",cancel_named:"Cancel {name}",remove_named:"Remove {name}",select_named:"{name}: {state}",retry:"Try again",failed_title:"No result for this picture",cancelled_title:"You cancelled this one",no_preview:"This browser cannot show this kind of file. The server may read it all the same.",promise_exact:"Downscaling this picture gives your picture back: off by {off}.",promise_jpeg:"Downscaling this picture gives back what your JPEG file says: off by {off}.",promise_noise:"Downscaling this picture gives your picture back, to its noise: off by {off}.",promise_none:"This picture was not held to yours: downscaled, it is off by {off}.",off_little:"less than 0.1 of 255 levels",off_levels:"{levels} of 255 levels",download:"Download",download_as:"Format of the download",downloading:"Making the file",link:"Copy link",link_copied:"Link copied. It holds the settings, not the picture.",link_shown:"The address bar now holds the link: settings, not the picture.",details:"Details",close:"Close",samples_title:"Samples",samples_note:"All of them fit your picture equally well.",sample_named:"Sample {number}",details_title:"How this picture was made",d_name:"File",d_model:"Model",d_licence:"Licence of the weights",d_seed:"Seed",d_samples:"Samples",d_detail:"Detail",d_evidence:"Taken to be",d_scale:"Scale",d_size:"Size",d_consistency:"Consistency × 1e-5",d_backend:"Runtime",d_version:"Version",d_input:"SHA-256 of your file",d_settings:"To make it again",d_provenance:"Provenance, as in the file",copy:"Copy",copied:"Copied",link_needs:"This link comes with settings, which are filled in. It was made with the picture “{name}” (SHA-256 {sha}…): add that picture to get the same result.",link_example:"Use this example",link_matches:"This is the picture of the link.",link_differs:"This is another picture than the one of the link; the settings are the same.",dismiss:"Dismiss",key_title:"This server asks for a key",key_text:"Whoever runs it can tell you. The key stays in this tab.",key_label:"API key",key_use:"Use this key",not_pictures:"That holds no file to upscale.",said_done:"{name} is done.",said_failed:"{name} failed: {detail}",error_offline:"The server does not answer. Expected a running one: try again when it is back.",error_lost:"The server does not know this job any more. Try again."};var bt={en:Se,de:xe},Ee="sr4-language",N=kt();function kt(){let n=localStorage.getItem(Ee);return n==="en"||n==="de"?n:navigator.language.toLowerCase().startsWith("de")?"de":"en"}function Le(){return N}function Me(n){N=n,localStorage.setItem(Ee,n)}function l(n,e={}){return bt[N][n].replace(/\{(\w+)\}/g,(t,i)=>String(e[i]))}function v(n,e=0){let t={minimumFractionDigits:e,maximumFractionDigits:e};return n.toLocaleString(N,t)}function Te(n){for(let e of n.querySelectorAll("[data-text]"))e.textContent=l(e.dataset.text);for(let e of n.querySelectorAll("[data-label]")){let t=l(e.dataset.label);e.setAttribute("aria-label",t),e.matches("button.icon")&&(e.title=t)}}var O=class{models=null;dialog=r("drawer");constructor(){r("drawer-close").addEventListener("click",()=>this.dialog.close()),this.dialog.addEventListener("click",e=>{e.target===this.dialog&&this.dialog.close()}),r("copy-provenance").addEventListener("click",async()=>{let e=r("provenance-json");await C(e.textContent??"")?_(l("copied"),!0):getSelection()?.selectAllChildren(e)})}open(e){let t=b(e);if(t===null||e.result===null)return;let i=this.models?.models.find(a=>a.name===t.model)?.licence,o=[["d_name",e.file.name],["d_size",`${e.result.width} × ${e.result.height}`],["d_scale",t.scale],["d_model",t.model],["d_evidence",t.evidence],["d_consistency",String(t.consistency)],["d_seed",String(t.seed)],["d_samples",String(e.result.pictures.length)],["d_detail",t.detail],["d_backend",t.backend],["d_version",t.version],["d_input",t.sha256],["d_licence",i??""]].filter(([,a])=>a!=="");r("facts-list").replaceChildren(...o.map(([a,c])=>d("div",{},d("dt",{},l(a)),d("dd",{},c)))),r("again-json").textContent=JSON.stringify(t.settings,null,2),r("provenance-json").textContent=JSON.stringify(t.provenance,null,2),this.dialog.showModal()}};var ze=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-camera"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M13.997 4a2 2 0 0 1 1.76 1.05l.486.9A2 2 0 0 0 18.003 7H20a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2h1.997a2 2 0 0 0 1.759-1.048l.489-.904A2 2 0 0 1 10.004 4z" />
  <circle cx="12" cy="13" r="3" />
</svg>
`;var Ae=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-check"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M20 6 9 17l-5-5" />
</svg>
`;var Pe=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-chevrons-left-right"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="m9 7-5 5 5 5" />
  <path d="m15 7 5 5-5 5" />
</svg>
`;var Re=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-dices"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <rect width="12" height="12" x="2" y="10" rx="2" ry="2" />
  <path d="m17.92 14 3.5-3.5a2.24 2.24 0 0 0 0-3l-5-4.92a2.24 2.24 0 0 0-3 0L10 6" />
  <path d="M6 18h.01" />
  <path d="M10 14h.01" />
  <path d="M15 6h.01" />
  <path d="M18 9h.01" />
</svg>
`;var Ce=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-download"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M12 15V3" />
  <path d="M21 15v4a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2v-4" />
  <path d="m7 10 5 5 5-5" />
</svg>
`;var De=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-image-plus"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M16 5h6" />
  <path d="M19 2v6" />
  <path d="M21 11.5V19a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h7.5" />
  <path d="m21 15-3.086-3.086a2 2 0 0 0-2.828 0L6 21" />
  <circle cx="9" cy="9" r="2" />
</svg>
`;var Be=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-info"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <circle cx="12" cy="12" r="10" />
  <path d="M12 16v-4" />
  <path d="M12 8h.01" />
</svg>
`;var He=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-layers"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M12.83 2.18a2 2 0 0 0-1.66 0L2.6 6.08a1 1 0 0 0 0 1.83l8.58 3.91a2 2 0 0 0 1.66 0l8.58-3.9a1 1 0 0 0 0-1.83z" />
  <path d="M2 12a1 1 0 0 0 .58.91l8.6 3.91a2 2 0 0 0 1.65 0l8.58-3.9A1 1 0 0 0 22 12" />
  <path d="M2 17a1 1 0 0 0 .58.91l8.6 3.91a2 2 0 0 0 1.65 0l8.58-3.9A1 1 0 0 0 22 17" />
</svg>
`;var Ie=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-link"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M10 13a5 5 0 0 0 7.54.54l3-3a5 5 0 0 0-7.07-7.07l-1.72 1.71" />
  <path d="M14 11a5 5 0 0 0-7.54-.54l-3 3a5 5 0 0 0 7.07 7.07l1.71-1.71" />
</svg>
`;var Ne=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-maximize"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M8 3H5a2 2 0 0 0-2 2v3" />
  <path d="M21 8V5a2 2 0 0 0-2-2h-3" />
  <path d="M3 16v3a2 2 0 0 0 2 2h3" />
  <path d="M16 21h3a2 2 0 0 0 2-2v-3" />
</svg>
`;var Oe=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-minus"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M5 12h14" />
</svg>
`;var Fe=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-moon"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M20.985 12.486a9 9 0 1 1-9.473-9.472c.405-.022.617.46.402.803a6 6 0 0 0 8.268 8.268c.344-.215.825-.004.803.401" />
</svg>
`;var je=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-plus"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M5 12h14" />
  <path d="M12 5v14" />
</svg>
`;var Ue=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-rotate-cw"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M21 12a9 9 0 1 1-9-9c2.52 0 4.93 1 6.74 2.74L21 8" />
  <path d="M21 3v5h-5" />
</svg>
`;var We=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-sun"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <circle cx="12" cy="12" r="4" />
  <path d="M12 2v2" />
  <path d="M12 20v2" />
  <path d="m4.93 4.93 1.41 1.41" />
  <path d="m17.66 17.66 1.41 1.41" />
  <path d="M2 12h2" />
  <path d="M20 12h2" />
  <path d="m6.34 17.66-1.41 1.41" />
  <path d="m19.07 4.93-1.41 1.41" />
</svg>
`;var Ke=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-triangle-alert"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="m21.73 18-8-14a2 2 0 0 0-3.48 0l-8 14A2 2 0 0 0 4 21h16a2 2 0 0 0 1.73-3" />
  <path d="M12 9v4" />
  <path d="M12 17h.01" />
</svg>
`;var $e=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-unplug"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="m19 5 3-3" />
  <path d="m2 22 3-3" />
  <path d="M6.3 20.3a2.4 2.4 0 0 0 3.4 0L12 18l-6-6-2.3 2.3a2.4 2.4 0 0 0 0 3.4Z" />
  <path d="M7.5 13.5 10 11" />
  <path d="M10.5 16.5 13 14" />
  <path d="m12 6 6 6 2.3-2.3a2.4 2.4 0 0 0 0-3.4l-2.6-2.6a2.4 2.4 0 0 0-3.4 0Z" />
</svg>
`;var Ve=`<!-- @license lucide-static v1.62.0 - ISC -->
<svg
  class="lucide lucide-x"
  xmlns="http://www.w3.org/2000/svg"
  width="24"
  height="24"
  viewBox="0 0 24 24"
  fill="none"
  stroke="currentColor"
  stroke-width="2"
  stroke-linecap="round"
  stroke-linejoin="round"
>
  <path d="M18 6 6 18" />
  <path d="m6 6 12 12" />
</svg>
`;var Ft={again:Ue,alert:Ke,camera:ze,check:Ae,close:Ve,compare:Pe,dice:Re,download:Ce,fit:Ne,info:Be,layers:He,link:Ie,minus:Oe,moon:Fe,offline:$e,picture:De,plus:je,sun:We};function x(n){let e=new DOMParser().parseFromString(Ft[n],"image/svg+xml").documentElement;return e.setAttribute("aria-hidden","true"),document.importNode(e,!0)}function qe(n){for(let e of n.querySelectorAll("[data-icon]"))e.prepend(x(e.dataset.icon)),delete e.dataset.icon}var ee={astronaut:"astronaut.png",coffee:"coffee.jpg",chelsea:"chelsea.png"};async function te(n){let t=await(await fetch(`/examples/${n}`)).blob();return new File([t],n,{type:t.type})}function ie(){r("files").click()}function Je(n){for(let t of["files","photo"]){let i=r(t);i.addEventListener("change",()=>{i.files?.length&&n([...i.files]),i.value=""})}let e=(t,i)=>{for(let s of document.querySelectorAll(t))s.addEventListener("click",()=>i(s))};e(".choose",ie),e(".take",()=>r("photo").click()),e("[data-example]",async t=>n([await te(ee[t.dataset.example])])),document.addEventListener("paste",t=>{let i=[...t.clipboardData?.files??[]];i.length>0&&n(i)}),jt(n)}function jt(n){let e=r("veil"),t=0,i=o=>o.dataTransfer?.types.includes("Files")??!1,s=()=>{e.hidden=t<=0};document.addEventListener("dragenter",o=>{i(o)&&(t+=1),s()}),document.addEventListener("dragleave",o=>{i(o)&&(t-=1),s()}),document.addEventListener("dragover",o=>o.preventDefault()),document.addEventListener("drop",o=>{o.preventDefault(),t=0,s();let a=[...o.dataTransfer?.files??[]];a.length>0?n(a):_(l("not_pictures"),!0)})}var Wt=999999,j=class{constructor(e){this.again=e;this.form.addEventListener("submit",t=>{t.preventDefault(),this.form.reportValidity()&&this.again()})}again;settings={...B};models={default:B.model,names:[B.model],models:[]};form=r("form");offer(e){this.models=e,e.names.includes(this.settings.model)||(this.settings.model=e.default),this.draw()}fill(e){let t=this.models.models.length===0||this.models.names.includes(e.model);this.settings={...e,model:t?e.model:this.models.default},this.draw()}enable(e){r("again").hidden=!e,r("settings-hint").textContent=l(e?"again_hint":"settings_hint")}draw(){let e=document.activeElement?.id??"";this.form.replaceChildren(this.model(),...this.hasDetail()?[this.detail()]:[],this.samples(),this.size(),this.evidence(),this.seed(),this.format(),d("button",{id:"again",className:"primary wide"},x("again"),l("again")),d("p",{id:"settings-hint",className:"quiet"})),e!==""&&document.getElementById(e)?.focus()}model(){let e=this.models.names.map(o=>[o,o==="auto"?l("model_auto"):o]),t=this.models.models.find(o=>o.name===this.settings.model),i=t===void 0?l("model_auto_about"):l("model_about",{scale:t.scale,parameters:v(t.parameters/1e6)}),s=F("model","model",e,this.settings.model,o=>{this.settings.model=o,this.draw()});return s.append(d("p",{className:"hint"},i)),s}hasDetail(){let{models:e}=this.models,t=e.filter(({name:s})=>s===this.settings.model),i=t.length>0?t:e;return i.length>0&&i.every(s=>s.has_detail===!0)}detail(){let{detail:e}=this.settings,t=d("output",{},e===null?l("detail_own"):v(e,2)),i=d("input",{type:"range",id:"detail",min:"0",max:"1",step:"0.05",value:String(e??1)});i.addEventListener("input",()=>{this.settings.detail=Number(i.value),t.textContent=v(this.settings.detail,2)});let s=d("label",{htmlFor:"detail"},l("detail")),o=d("div",{className:"ends hint"},d("span",{},l("detail_soft")),d("span",{},l("detail_sharp")));return d("div",{className:"field"},d("div",{className:"labelled"},s,t),i,o)}samples(){let e=Array.from({length:8},(s,o)=>{let a=String(o+1),c=d("input",{type:"radio",name:"samples",id:`samples-${a}`,value:a,checked:o+1===this.settings.samples});return c.addEventListener("change",()=>this.settings.samples=o+1),d("label",{},c,d("span",{},a))}),t=d("legend",{},l("samples")),i=d("p",{className:"hint"},l("samples_hint"));return d("fieldset",{className:"field"},t,d("div",{className:"cells"},...e),i)}size(){let e=[["model",l("size_model")],["scale",l("size_scale")],["width",l("size_width")]],t=F("size","size-by",e,this.settings.sizeBy,o=>{this.settings.sizeBy=o,this.settings.size=o==="width"?1024:4,this.draw()});if(this.settings.sizeBy==="model")return t;let i=this.settings.sizeBy==="width",s=Ge("size-value",this.settings.size,i?1:.1,o=>this.settings.size=o);return s.step=i?"1":"any",s.setAttribute("aria-label",l("size_value")),t.append(s),t}evidence(){let e=X.map(t=>[t,l(`evidence_${t}`)]);return F("evidence","evidence",e,this.settings.evidence,t=>this.settings.evidence=t)}seed(){let e=Ge("seed",this.settings.seed,0,s=>this.settings.seed=s),t=d("button",{type:"button",className:"icon",title:l("seed_dice")},x("dice"));t.setAttribute("aria-label",l("seed_dice")),t.addEventListener("click",()=>{this.settings.seed=Math.floor(Math.random()*Wt),e.value=String(this.settings.seed)});let i=d("label",{htmlFor:"seed"},l("seed"));return d("div",{className:"field"},i,d("div",{className:"beside"},e,t))}format(){return F("format","format",ne(),this.settings.format,e=>this.settings.format=e)}};function ne(){return Z.map(n=>[n,n==="npy"?"NumPy":n.toUpperCase()])}function se(n,e,t){n.replaceChildren(...e.map(([i,s])=>d("option",{value:i},s))),n.value=t}function F(n,e,t,i,s){let o=d("select",{id:e});return se(o,t,i),o.addEventListener("change",()=>s(o.value)),d("div",{className:"field"},d("label",{htmlFor:e},l(n)),o)}function Ge(n,e,t,i){let s=d("input",{type:"number",id:n,value:String(e),min:String(t),step:"1",required:!0});return s.inputMode="decimal",s.addEventListener("input",()=>{s.checkValidity()&&i(Number(s.value))}),s}var Kt={loading:500,ready:15e3,offline:3e3,locked:15e3},U=class{constructor(e){this.offer=e;let t=r("key");r("key-form").addEventListener("submit",()=>{ue(r("key-value").value),setTimeout(()=>{this.look()})}),t.addEventListener("cancel",i=>i.preventDefault())}offer;presence="loading";isOffered=!1;timer;async look(){clearTimeout(this.timer),this.presence=await this.asked(),this.draw(),this.timer=setTimeout(()=>{this.look()},Kt[this.presence])}draw(){let e=r("server"),t=l(`server_${this.presence}`);e.textContent!==t&&(e.textContent=t),e.className=`server ${this.presence}`,r("offline").hidden=this.presence!=="offline";let i=r("key");this.presence==="locked"&&!i.open&&i.showModal()}async asked(){try{return this.isOffered||(this.offer(await me()),this.isOffered=!0),await pe()?"ready":"loading"}catch(e){return e instanceof w&&e.status===401?"locked":"offline"}}};function W(n){if(n.state!=="running")return l(`state_${n.state}`);let e=v(n.share*100);return n.secondsLeft===null||n.secondsLeft<1?l("state_running",{percent:e}):l("state_running_left",{percent:e,seconds:v(n.secondsLeft)})}function P(n){if(n instanceof A)return l("error_offline");if(n instanceof w&&n.status===404)return l("error_lost");let e=n instanceof Error?n.message:String(n);return e.charAt(0).toUpperCase()+e.slice(1)}var K=class{constructor(e,t,i){this.session=e;this.add=t;this.look=i;this.list.append(d("li",{className:"more"}))}session;add;look;list=r("strip");items=new Map;draw(){let e=this.list.firstElementChild,t=d("button",{type:"button",className:"add"},x("plus"),d("span",{},l("add")));t.addEventListener("click",this.add),e.textContent!==l("add")&&e.replaceChildren(t);for(let[i,s]of this.items)this.session.runs.includes(i)||(s.remove(),this.items.delete(i));this.session.runs.forEach((i,s)=>{let o=this.items.get(i)??this.item(i);this.update(i,o);let a=this.list.children[s+1];a!==o&&this.list.insertBefore(o,a??null)})}item(e){let t=d("img",{alt:"",src:e.url,draggable:!1});t.addEventListener("error",()=>t.hidden=!0);let i=d("button",{type:"button",className:"open"},d("span",{className:"blank"},x("picture")),t,d("span",{className:"name"},e.file.name),d("span",{className:"state"}),d("progress",{max:1}));i.addEventListener("click",()=>{this.session.select(e),this.look()});let s=d("button",{type:"button",className:"icon close"},x("close"));s.addEventListener("click",()=>{y(e)?this.session.remove(e):this.session.cancel(e)});let o=d("li",{},i,s);return this.items.set(e,o),o}update(e,t){let{name:i}=e.file;t.className=e.state;let s=t.querySelector(".open");s.setAttribute("aria-current",String(e===this.session.selected)),s.setAttribute("aria-label",l("select_named",{name:i,state:W(e)}));let o=s.querySelector("img"),a=b(e)?.url??e.url;o.src!==a&&(o.hidden=!1,o.src=a),t.querySelector(".state").textContent=W(e);let c=t.querySelector("progress");c.hidden=y(e),e.share>0?c.value=e.share:c.removeAttribute("value"),c.setAttribute("aria-hidden","true"),t.querySelector(".close").setAttribute("aria-label",l(y(e)?"remove_named":"cancel_named",{name:i}))}};var Ye="sr4-theme",Xe=matchMedia("(prefers-color-scheme: dark)");function Ze(){let n=localStorage.getItem(Ye);return n===null?Xe.matches:n==="dark"}function R(n){let e=Ze();document.documentElement.dataset.theme=e?"dark":"light",n.replaceChildren(x(e?"sun":"moon"));let t=l(e?"theme_light":"theme_dark");n.setAttribute("aria-label",t),n.title=t}function Qe(n){n.addEventListener("click",()=>{localStorage.setItem(Ye,Ze()?"light":"dark"),R(n)}),Xe.addEventListener("change",()=>R(n)),R(n)}function et(n,e,t){let{uncertainty:i,...s}=H(n);return new URLSearchParams({...s,format:n.format,sha256:e,name:t}).toString()}function tt(n){let e=new URLSearchParams(n.replace(/^#/,"")),t=e.get("sha256")??"";return/^[0-9a-f]{64}$/.test(t)?{settings:e,sha256:t,name:(e.get("name")??"").slice(0,100)}:null}var $=class{wanted=null;isMet=null;constructor(e){r("wanted-close").addEventListener("click",()=>{this.wanted=null,history.replaceState(null,"",location.pathname),this.draw()}),r("wanted-example").addEventListener("click",async()=>{this.wanted!==null&&e([await te(this.wanted.name)])})}open(e){return this.wanted=tt(location.hash),this.isMet=null,this.draw(),this.wanted===null?null:be(this.wanted.settings,e)}meet(e){let t=b(e)?.sha256;this.wanted===null||t===void 0||(this.isMet=t===this.wanted.sha256,this.draw())}draw(){if(r("wanted").hidden=this.wanted===null,this.wanted===null)return;let{name:e,sha256:t}=this.wanted;r("wanted-text").textContent=this.isMet===null?l("link_needs",{name:e,sha:t.slice(0,12)}):l(this.isMet?"link_matches":"link_differs"),r("wanted-example").hidden=this.isMet!==null||!Object.values(ee).includes(e)}};var Vt={exact:"promise_exact",jpeg:"promise_jpeg",noise:"promise_noise"},qt=.1;function it(n,e){let t=Math.sqrt(n*1e-5)*255,i=t<qt?l("off_little"):l("off_levels",{levels:v(t,1)}),s=Vt[e.split(" ")[0]??""];return{sentence:l(s??"promise_none",{off:i}),isHeld:s!==void 0}}(()=>{"use strict";var n={792:(i,s,o)=>{o.d(s,{Z:()=>u});var a=o(609),c=o.n(a)()((function(g){return g[1]}));c.push([i.id,':host{--divider-width: 1px;--divider-color: #fff;--divider-shadow: none;--default-handle-width: 50px;--default-handle-color: #fff;--default-handle-opacity: 1;--default-handle-shadow: none;--handle-position-start: 50%;position:relative;display:inline-block;overflow:hidden;line-height:0;direction:ltr}@media screen and (-webkit-min-device-pixel-ratio: 0)and (min-resolution: 0.001dpcm){:host{outline-offset:1px}}:host(:focus){outline:2px solid -webkit-focus-ring-color}::slotted(*){-webkit-user-drag:none;-khtml-user-drag:none;-moz-user-drag:none;-o-user-drag:none;user-drag:none;-webkit-touch-callout:none;-webkit-user-select:none;-khtml-user-select:none;-moz-user-select:none;-ms-user-select:none;user-select:none}.first{position:absolute;left:0;top:0;right:0;line-height:normal;font-size:100%;max-height:100%;height:100%;width:100%;--exposure: 50%;--keyboard-transition-time: 0ms;--default-transition-time: 0ms;--transition-time: var(--default-transition-time)}.first .first-overlay-container{position:relative;clip-path:inset(0 var(--exposure) 0 0);transition:clip-path var(--transition-time);height:100%}.first .first-overlay{overflow:hidden;height:100%}.first.focused{will-change:clip-path}.first.focused .first-overlay-container{will-change:clip-path}.second{position:relative}.handle-container{transform:translateX(50%);position:absolute;top:0;right:var(--exposure);height:100%;transition:right var(--transition-time),bottom var(--transition-time)}.focused .handle-container{will-change:right}.divider{position:absolute;height:100%;width:100%;left:0;top:0;display:flex;align-items:center;justify-content:center;flex-direction:column}.divider:after{content:" ";display:block;height:100%;border-left-width:var(--divider-width);border-left-style:solid;border-left-color:var(--divider-color);box-shadow:var(--divider-shadow)}.handle{position:absolute;top:var(--handle-position-start);pointer-events:none;box-sizing:border-box;margin-left:1px;transform:translate(calc(-50% - 0.5px), -50%);line-height:0}.default-handle{width:var(--default-handle-width);opacity:var(--default-handle-opacity);transition:all 1s;filter:drop-shadow(var(--default-handle-shadow))}.default-handle path{stroke:var(--default-handle-color)}.vertical .first-overlay-container{clip-path:inset(0 0 var(--exposure) 0)}.vertical .handle-container{transform:translateY(50%);height:auto;top:unset;bottom:var(--exposure);width:100%;left:0;flex-direction:row}.vertical .divider:after{height:1px;width:100%;border-top-width:var(--divider-width);border-top-style:solid;border-top-color:var(--divider-color);border-left:0}.vertical .handle{top:auto;left:var(--handle-position-start);transform:translate(calc(-50% - 0.5px), -50%) rotate(90deg)}',""]);let u=c},609:i=>{i.exports=function(s){var o=[];return o.toString=function(){return this.map((function(a){var c=s(a);return a[2]?"@media ".concat(a[2]," {").concat(c,"}"):c})).join("")},o.i=function(a,c,u){typeof a=="string"&&(a=[[null,a,""]]);var g={};if(u)for(var k=0;k<this.length;k++){var z=this[k][0];z!=null&&(g[z]=!0)}for(var h=0;h<a.length;h++){var m=[].concat(a[h]);u&&g[m[0]]||(c&&(m[2]?m[2]="".concat(c," and ").concat(m[2]):m[2]=c),o.push(m))}},o}}},e={};function t(i){var s=e[i];if(s!==void 0)return s.exports;var o=e[i]={id:i,exports:{}};return n[i](o,o.exports,t),o.exports}t.n=i=>{var s=i&&i.__esModule?()=>i.default:()=>i;return t.d(s,{a:s}),s},t.d=(i,s)=>{for(var o in s)t.o(s,o)&&!t.o(i,o)&&Object.defineProperty(i,o,{enumerable:!0,get:s[o]})},t.o=(i,s)=>Object.prototype.hasOwnProperty.call(i,s),(()=>{var i=t(792);let s="rendered",o=(h,m)=>{let p=h.getBoundingClientRect(),f,S;return m.type==="mousedown"?(f=m.clientX,S=m.clientY):(f=m.touches[0].clientX,S=m.touches[0].clientY),f>=p.x&&f<=p.x+p.width&&S>=p.y&&S<=p.y+p.height},a,c={ArrowLeft:-1,ArrowRight:1},u=["horizontal","vertical"],g=h=>({x:h.touches[0].pageX,y:h.touches[0].pageY}),k=h=>({x:h.pageX,y:h.pageY}),z=typeof window<"u"&&window?.HTMLElement;typeof window<"u"&&(window.document&&(a=document.createElement("template"),a.innerHTML='<div class="second" id="second"> <slot name="second"><slot name="before"></slot></slot> </div> <div class="first" id="first"> <div class="first-overlay"> <div class="first-overlay-container" id="firstImageContainer"> <slot name="first"><slot name="after"></slot></slot> </div> </div> <div class="handle-container"> <div class="divider"></div> <div class="handle" id="handle"> <slot name="handle"> <svg xmlns="http://www.w3.org/2000/svg" class="default-handle" viewBox="-8 -3 16 6"> <path d="M -5 -2 L -7 0 L -5 2 M 5 -2 L 7 0 L 5 2" fill="none" vector-effect="non-scaling-stroke"/> </svg> </slot> </div> </div> </div> '),window.customElements.define("img-comparison-slider",class extends z{constructor(){super(),this.exposure=this.hasAttribute("value")?parseFloat(this.getAttribute("value")):50,this.slideOnHover=!1,this.slideDirection="horizontal",this.keyboard="enabled",this.isMouseDown=!1,this.animationDirection=0,this.isFocused=!1,this.dragByHandle=!1,this.onMouseMove=p=>{if(this.isMouseDown||this.slideOnHover){let f=k(p);this.slideToPage(f)}},this.bodyUserSelectStyle="",this.bodyWebkitUserSelectStyle="",this.onMouseDown=p=>{if(this.slideOnHover||this.handle&&!o(this.handleElement,p))return;p.preventDefault(),window.addEventListener("mousemove",this.onMouseMove),window.addEventListener("mouseup",this.onWindowMouseUp),this.isMouseDown=!0,this.enableTransition();let f=k(p);this.slideToPage(f),this.focus(),this.bodyUserSelectStyle=window.document.body.style.userSelect,this.bodyWebkitUserSelectStyle=window.document.body.style.webkitUserSelect,window.document.body.style.userSelect="none",window.document.body.style.webkitUserSelect="none"},this.onWindowMouseUp=()=>{this.isMouseDown=!1,window.document.body.style.userSelect=this.bodyUserSelectStyle,window.document.body.style.webkitUserSelect=this.bodyWebkitUserSelectStyle,window.removeEventListener("mousemove",this.onMouseMove),window.removeEventListener("mouseup",this.onWindowMouseUp)},this.touchStartPoint=null,this.isTouchComparing=!1,this.hasTouchMoved=!1,this.onTouchStart=p=>{this.dragByHandle&&!o(this.handleElement,p)||(this.touchStartPoint=g(p),this.isFocused&&(this.enableTransition(),this.slideToPage(this.touchStartPoint)))},this.onTouchMove=p=>{if(this.touchStartPoint===null)return;let f=g(p);if(this.isTouchComparing)return this.slideToPage(f),p.preventDefault(),!1;if(!this.hasTouchMoved){let S=Math.abs(f.y-this.touchStartPoint.y),de=Math.abs(f.x-this.touchStartPoint.x);if(this.slideDirection==="horizontal"&&S<de||this.slideDirection==="vertical"&&S>de)return this.isTouchComparing=!0,this.focus(),this.slideToPage(f),p.preventDefault(),!1;this.hasTouchMoved=!0}},this.onTouchEnd=()=>{this.isTouchComparing=!1,this.hasTouchMoved=!1,this.touchStartPoint=null},this.onBlur=()=>{this.stopSlideAnimation(),this.isFocused=!1,this.firstElement.classList.remove("focused")},this.onFocus=()=>{this.isFocused=!0,this.firstElement.classList.add("focused")},this.onKeyDown=p=>{if(this.keyboard==="disabled")return;let f=c[p.key];this.animationDirection!==f&&f!==void 0&&(this.animationDirection=f,this.startSlideAnimation())},this.onKeyUp=p=>{if(this.keyboard==="disabled")return;let f=c[p.key];f!==void 0&&this.animationDirection===f&&this.stopSlideAnimation()},this.resetDimensions=()=>{this.imageWidth=this.offsetWidth,this.imageHeight=this.offsetHeight};let h=this.attachShadow({mode:"open"}),m=new CSSStyleSheet;m.replaceSync(i.Z),h.adoptedStyleSheets=[m],h.appendChild(a.content.cloneNode(!0)),this.firstElement=h.getElementById("first"),this.handleElement=h.getElementById("handle")}set handle(h){this.dragByHandle=h.toString().toLowerCase()!=="false"}get handle(){return this.dragByHandle}get value(){return this.exposure}set value(h){let m=parseFloat(h);m!==this.exposure&&(this.exposure=m,this.enableTransition(),this.setExposure())}get hover(){return this.slideOnHover}set hover(h){this.slideOnHover=h.toString().toLowerCase()!=="false",this.removeEventListener("mousemove",this.onMouseMove),this.slideOnHover&&this.addEventListener("mousemove",this.onMouseMove)}get direction(){return this.slideDirection}set direction(h){this.slideDirection=h.toString().toLowerCase(),this.slide(0),this.firstElement.classList.remove(...u),u.includes(this.slideDirection)&&this.firstElement.classList.add(this.slideDirection)}static get observedAttributes(){return["hover","direction"]}connectedCallback(){this.hasAttribute("tabindex")||(this.tabIndex=0),this.addEventListener("dragstart",(h=>(h.preventDefault(),!1))),new ResizeObserver(this.resetDimensions).observe(this),this.setExposure(0),this.keyboard=this.hasAttribute("keyboard")&&this.getAttribute("keyboard")==="disabled"?"disabled":"enabled",this.addEventListener("keydown",this.onKeyDown),this.addEventListener("keyup",this.onKeyUp),this.addEventListener("focus",this.onFocus),this.addEventListener("blur",this.onBlur),this.addEventListener("touchstart",this.onTouchStart,{passive:!0}),this.addEventListener("touchmove",this.onTouchMove,{passive:!1}),this.addEventListener("touchend",this.onTouchEnd),this.addEventListener("mousedown",this.onMouseDown),this.handle=this.hasAttribute("handle")?this.getAttribute("handle"):this.dragByHandle,this.hover=this.hasAttribute("hover")?this.getAttribute("hover"):this.slideOnHover,this.direction=this.hasAttribute("direction")?this.getAttribute("direction"):this.slideDirection,this.resetDimensions(),this.classList.contains(s)||this.classList.add(s)}disconnectedCallback(){this.transitionTimer&&window.clearTimeout(this.transitionTimer)}attributeChangedCallback(h,m,p){h==="hover"&&(this.hover=p),h==="direction"&&(this.direction=p),h==="keyboard"&&(this.keyboard=p==="disabled"?"disabled":"enabled")}setExposure(h=0){var m;this.exposure=(m=this.exposure+h)<0?0:m>100?100:m,this.firstElement.style.setProperty("--exposure",100-this.exposure+"%")}slide(h=0){this.setExposure(h);let m=new Event("slide");this.dispatchEvent(m)}slideToPage(h){this.slideDirection==="horizontal"&&this.slideToPageX(h.x),this.slideDirection==="vertical"&&this.slideToPageY(h.y)}slideToPageX(h){let m=h-this.getBoundingClientRect().left-window.scrollX;this.exposure=m/this.imageWidth*100,this.slide(0)}slideToPageY(h){let m=h-this.getBoundingClientRect().top-window.scrollY;this.exposure=m/this.imageHeight*100,this.slide(0)}enableTransition(){this.firstElement.style.setProperty("--transition-time","100ms"),this.transitionTimer=window.setTimeout((()=>{this.firstElement.style.setProperty("--transition-time","var(--default-transition-time)"),this.transitionTimer=null}),100)}startSlideAnimation(){let h=null,m=this.animationDirection;this.firstElement.style.setProperty("--transition-time","var(--keyboard-transition-time)");let p=f=>{if(this.animationDirection===0||m!==this.animationDirection)return;h===null&&(h=f);let S=(f-h)/16.666666666666668*this.animationDirection;this.slide(S),setTimeout((()=>window.requestAnimationFrame(p)),0),h=f};window.requestAnimationFrame(p)}stopSlideAnimation(){this.animationDirection=0,this.firstElement.style.setProperty("--transition-time","var(--default-transition-time)")}}))})()})();var M=1.25,Jt=32,Gt=6,Yt=900,nt=2,V=60,q=class{frame=r("viewer");slider=r("slider");before=r("before");after=r("after");heat=r("heat");zoomed=r("zoom-now");view=null;scale=null;middle={x:.5,y:.5};pointers=new Map;constructor(){new ResizeObserver(()=>this.lay()).observe(this.frame),this.frame.addEventListener("wheel",t=>this.wheel(t),{passive:!1}),this.frame.addEventListener("keydown",t=>this.key(t)),this.frame.addEventListener("pointerdown",t=>this.grab(t),{capture:!0}),this.frame.addEventListener("pointermove",t=>this.drag(t));for(let t of["pointerup","pointercancel"])this.frame.addEventListener(t,i=>this.pointers.delete(i.pointerId));let e=t=>{this.pointers.size>1&&t.stopPropagation()};this.frame.addEventListener("touchmove",e,{capture:!0}),this.slider.addEventListener("slide",()=>this.tell()),r("zoom-in").addEventListener("click",()=>this.zoomBy(M)),r("zoom-out").addEventListener("click",()=>this.zoomBy(1/M)),r("fit").addEventListener("click",()=>this.zoomTo(null)),r("one-to-one").addEventListener("click",()=>this.zoomTo(1/devicePixelRatio))}show(e){let t=this.view;(e===null||t?.width!==e.width||t.height!==e.height)&&(this.scale=null,this.middle={x:.5,y:.5}),this.view=e,this.slider.hidden=e===null,e!==null&&(oe(this.before,e.before),oe(this.after,e.after),oe(this.heat,e.uncertainty),this.frame.classList.toggle("uncertain",e.uncertainty!==null),this.frame.classList.toggle("single",e.before===null||e.after===null),e.after===null?this.slider.value=100:e.before===null?this.slider.value=0:this.slider.value===100&&t?.after===null?this.reveal():(t===null||t.before===null)&&(this.slider.value=50),this.lay())}reveal(){let e=matchMedia("(prefers-reduced-motion: reduce)").matches?0:Yt,t=performance.now(),i=s=>{let o=e===0?1:Math.min(1,Math.max(0,s-t)/e);this.slider.value=100-50*(1-(1-o)**3),this.tell(),o<1&&this.view?.after!==null&&requestAnimationFrame(i)};requestAnimationFrame(i)}tell(){let e=Math.round(this.slider.value);this.slider.setAttribute("aria-valuenow",String(e)),this.slider.setAttribute("aria-valuetext",l("compare_value",{percent:e})),this.zoomed.textContent=`${v(this.present*devicePixelRatio*100)} %`}get fitted(){if(this.view===null)return 1;let{clientWidth:e,clientHeight:t}=this.frame,i=Math.min(e/this.view.width,t/this.view.height);return Math.min(Gt,i)}get present(){return this.scale??this.fitted}lay(){if(this.view===null)return;let{clientWidth:e,clientHeight:t}=this.frame,i=this.view.width*this.present,s=this.view.height*this.present,o=ot(e,i,this.middle.x),a=ot(t,s,this.middle.y);this.middle={x:o.middle,y:a.middle},Object.assign(this.slider.style,{left:`${o.seen}px`,top:`${a.seen}px`,width:`${o.length}px`,height:`${a.length}px`});for(let u of this.slider.querySelectorAll(".pane"))u.style.height=`${a.length}px`;for(let u of[this.before,this.after,this.heat])u.style.width=`${i}px`,u.style.height=`${s}px`,u.style.transform=`translate(${o.start-o.seen}px, ${a.start-a.seen}px)`;let c=i>e+1||s>t+1;this.frame.classList.toggle("larger",c),this.frame.classList.toggle("blocks",this.present*devicePixelRatio>=8),this.slider.handle=c,r("fit").setAttribute("aria-pressed",String(this.scale===null)),this.tell()}zoomTo(e,t){if(this.view===null)return;let i=this.present;if(this.scale=e===null?null:Math.min(Jt,e),t!==void 0&&this.scale!==null){let{width:s,height:o}=this.view,{clientWidth:a,clientHeight:c}=this.frame,u=1/i-1/this.scale;this.middle.x+=(t.x-a/2)*u/s,this.middle.y+=(t.y-c/2)*u/o}this.lay()}zoomBy(e,t){let i=this.present*e;this.zoomTo(i>this.fitted?i:null,t)}move(e,t){this.view!==null&&(this.middle.x-=e/(this.view.width*this.present),this.middle.y-=t/(this.view.height*this.present),this.lay())}wheel(e){if(this.view===null||e.deltaY===0||e.deltaY>0&&this.scale===null)return;e.preventDefault();let t=e.deltaMode===WheelEvent.DOM_DELTA_PIXEL?e.deltaY/100:e.deltaY/3;this.zoomBy(M**-Math.max(-3,Math.min(3,t)),this.within(e))}key(e){let i={"+":()=>this.zoomBy(M),"=":()=>this.zoomBy(M),"-":()=>this.zoomBy(1/M),0:()=>this.zoomTo(null),1:()=>this.zoomTo(1/devicePixelRatio),...e.shiftKey?this.moves():this.slides()}[e.key];i===void 0||e.ctrlKey||e.metaKey||e.altKey||(e.preventDefault(),i())}moves(){return{ArrowLeft:()=>this.move(V,0),ArrowRight:()=>this.move(-V,0),ArrowUp:()=>this.move(0,V),ArrowDown:()=>this.move(0,-V)}}slides(){let e=i=>()=>{this.slider.value=Math.max(0,Math.min(100,i)),this.tell()},t=this.slider.value;return{ArrowLeft:e(t-nt),ArrowRight:e(t+nt),PageDown:e(t-10),PageUp:e(t+10),Home:e(0),End:e(100)}}grab(e){let t=e.composedPath().some(o=>o instanceof Element&&o.slot==="handle"),i=this.slider.querySelector(".handle").getBoundingClientRect(),s=Xt(i,e);t||s&&this.pointers.size===0||(this.pointers.set(e.pointerId,this.within(e)),this.pointers.size>1&&(this.slider.handle=!0))}drag(e){let t=this.pointers.get(e.pointerId);if(t===void 0||e.buttons===0)return;let i=this.within(e),s=[...this.pointers].find(([o])=>o!==e.pointerId)?.[1];this.pointers.set(e.pointerId,i),s!==void 0?this.zoomBy(st(i,s)/Math.max(1,st(t,s)),{x:(i.x+s.x)/2,y:(i.y+s.y)/2}):this.frame.classList.contains("larger")&&this.move(i.x-t.x,i.y-t.y)}within(e){let{left:t,top:i}=this.frame.getBoundingClientRect();return{x:e.clientX-t,y:e.clientY-i}}};function oe(n,e){n.hidden=e===null,e===null?n.removeAttribute("src"):n.src!==e&&(n.src=e)}function st(n,e){return Math.hypot(n.x-e.x,n.y-e.y)}function Xt(n,{clientX:e,clientY:t}){return e>=n.left&&e<=n.right&&t>=n.top&&t<=n.bottom}function ot(n,e,t){if(e<=n){let s=(n-e)/2;return{start:s,seen:s,length:e,middle:.5}}let i=Math.max(n-e,Math.min(0,n/2-t*e));return{start:i,seen:0,length:n,middle:(n/2-i)/e}}var Zt=32,rt=8,J=class{constructor(e,t){this.session=e;let i=(s,o)=>r(s).addEventListener("click",()=>this.session.selected&&o(this.session.selected));i("cancel",s=>e.cancel(s)),i("retry",s=>{e.remove(s),e.add([s.file],s.settings)}),i("download",s=>{this.download(s)}),i("link",s=>{this.link(s)}),i("details",t),i("uncertainty",()=>{this.showsUncertainty=!this.showsUncertainty,this.draw()})}session;viewer=new q;format=r("download-format");showsUncertainty=!1;seen=null;draw(){let e=this.session.selected;if(document.body.dataset.view=e===null?"empty":"work",r("hero").hidden=e!==null,r("work").hidden=e===null,e===null)return;e!==this.seen&&se(this.format,ne(),e.settings.format),this.seen=e,r("title").textContent=e.file.name,r("facts").textContent=Qt(e),this.drawState(e),this.drawView(e);let t=b(e);r("outcome").hidden=t===null,r("tools").hidden=e.given===null&&t===null,t!==null&&this.drawOutcome(e,t)}drawState(e){r("status").hidden=y(e),r("status-text").textContent=W(e);let t=r("progress");e.share>0?t.value=e.share:t.removeAttribute("value");let i=e.state==="failed"||e.state==="cancelled";r("ended").hidden=!i,r("ended").classList.toggle("alarm",e.state==="failed"),r("ended-title").textContent=l(e.state==="failed"?"failed_title":"cancelled_title"),r("ended-text").textContent=e.state==="failed"?P(e.error):""}drawView(e){let{result:t,given:i}=e,s=t?.uncertainty??null,o=s!==null&&this.showsUncertainty;if(r("uncertainty").hidden=s===null,r("uncertainty").setAttribute("aria-pressed",String(o)),r("scale").hidden=!o,r("scale-most").textContent=l("uncertainty_more",{levels:Zt}),r("unseen").hidden=i!==null||t!==null||y(e),i===null&&t===null){this.viewer.show(null);return}this.viewer.show({before:i===null?null:e.url,after:b(e)?.url??null,uncertainty:o?s:null,width:t?.width??i.width*rt,height:t?.height??i.height*rt})}drawOutcome(e,t){let{sentence:i,isHeld:s}=it(t.consistency,t.evidence);r("promise").classList.toggle("free",!s),r("promise-text").textContent=i,r("notes").replaceChildren(...t.notes.map(c=>d("li",{},c)));let{pictures:o}=e.result;r("samples").hidden=o.length<2;let a=r("grid");(a.childElementCount!==o.length||a.dataset.run!==String(e.id))&&(a.dataset.run=String(e.id),a.replaceChildren(...o.map((c,u)=>this.sample(e,c,u)))),[...a.children].forEach((c,u)=>{c.setAttribute("aria-pressed",String(u===e.chosen)),c.setAttribute("aria-label",l("sample_named",{number:u+1}))})}sample(e,t,i){let s=d("img",{src:t.url,alt:"",draggable:!1}),o=d("button",{type:"button"},s,d("span",{},String(i+1)));return o.addEventListener("click",()=>this.session.choose(e,i)),o}async download(e){let t=r("download"),i=r("download-error"),s=this.format.value;i.hidden=!0,t.setAttribute("aria-busy","true"),_(l("downloading"));try{let o=e.result.pictures.length>1?`_${e.chosen+1}`:"",a=e.file.name.replace(/\.[^.]*$/,"");he(await this.session.saved(e,s),`${a}_sr4${o}.${s}`)}catch(o){i.textContent=P(o),i.hidden=!1}finally{t.removeAttribute("aria-busy")}}async link(e){let t=b(e),i=t.model,s=et({...e.settings,model:i,format:this.format.value},t.sha256,e.file.name);history.replaceState(null,"",`#${s}`),_(l(await C(location.href)?"link_copied":"link_shown"),!0)}};function Qt(n){let e=a=>`${a.width} × ${a.height}`,{given:t,result:i}=n,s=b(n);return i===null||s===null?t===null?"":e(t):[t===null?e(i):l("size_change",{from:e(t),to:e(i)}),s.model,`${l("seed")} ${v(s.seed)}`].join("  ·  ")}var ei="(max-width: 63.99rem)",E=new I(n=>{G(),n!==void 0&&ni(n)}),T=new j(()=>{E.selected!==null&&le([E.selected.file])}),at=new O,ti=new J(E,n=>at.open(n)),ii=new K(E,ie,lt),re=new $(le),ae=new U(n=>{at.models=n,T.offer(n),G()});function le(n){E.add(n,T.settings),lt()}function lt(){let{top:n,bottom:e}=r("viewer").getBoundingClientRect();(n<0||e>innerHeight)&&r("work").scrollIntoView()}function ni(n){let{name:e}=n.file;n.state==="done"?_(l("said_done",{name:e})):_(l("said_failed",{name:e,detail:P(n.error)})),n.state==="failed"&&ae.look(),re.meet(n)}function G(){r("session").hidden=E.runs.length===0,ti.draw(),ii.draw(),T.enable(E.selected!==null)}function dt(n){Me(n),document.documentElement.lang=n,Te(document);for(let e of r("languages").querySelectorAll("button"))e.setAttribute("aria-pressed",String(e.value===n));R(r("theme")),T.draw(),re.draw(),ae.draw(),G()}function ct(){let n=re.open(T.settings);n!==null&&T.fill(n),G()}qe(document);Qe(r("theme"));for(let n of r("languages").querySelectorAll("button"))n.addEventListener("click",()=>dt(n.value));Je(le);addEventListener("hashchange",ct);r("settings").open=!matchMedia(ei).matches;dt(Le());ct();ae.look();
