package text

import "strings"

// irregularForms reads a table of irregular forms: lines of a lemma and its forms.
func irregularForms(table string) map[string]string {
	m := make(map[string]string)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		for _, form := range fields[1:] {
			m[form] = fields[0]
		}
	}
	return m
}

// irregularEnglish has the forms that Snowball does not take to the stem of their
// lemma, names that are joined in talk (mom, pics, Jan) among them. Left out are
// forms that are more often another word: bit, rose, lives, ground, wed.
const irregularEnglish = `arise arose arisen
awake awoke awoken
beat beaten
begin began begun
bend bent
bite bitten
bleed bled
blow blew blown
break broke broken
breed bred
bring brought
build built
burn burnt
buy bought
catch caught
choose chose chosen
come came
creep crept
deal dealt
dig dug
draw drew drawn
dream dreamt
drink drank drunk
drive drove driven
eat ate eaten
fall fell fallen
feed fed
feel felt
fight fought
find found
flee fled
fly flew flown
forbid forbade forbidden
forget forgot forgotten
forgive forgave forgiven
freeze froze frozen
get got gotten
give gave given
go went gone goes
grow grew grown
hang hung
hear heard
hide hid hidden
hold held
keep kept
know knew known
lead led
learn learnt
leave left
lend lent
light lit
lose lost
make made
mean meant
meet met
mistake mistook mistaken
overcome overcame
pay paid
prove proven
ride rode ridden
ring rang rung
rise risen
run ran
say said
see saw seen
seek sought
sell sold
send sent
sew sewn
shake shook shaken
shine shone
shoot shot
show shown
shrink shrank shrunk
sing sang sung
sink sank sunk
sit sat
sleep slept
slide slid
speak spoke spoken
spend spent
spin spun
stand stood
steal stole stolen
stick stuck
strike struck
swear swore sworn
sweep swept
swim swam swum
swing swung
take took taken
teach taught
tear torn
tell told
think thought
throw threw thrown
understand understood
wake woke woken
wear wore worn
weep wept
win won
withdraw withdrew withdrawn
write wrote written
child children
man men
woman women
person people
foot feet
tooth teeth
mouse mice
goose geese
knife knives
wife wives
half halves
shelf shelves
wolf wolves
loaf loaves
bad worse worst
january jan
february feb
august aug
september sept sep
october oct
november nov
december dec
monday mon
tuesday tue tues
thursday thu thurs
friday fri
mother mom mum mommy mama
father dad daddy
picture pic pics photo photos photograph photographs
television tv
birthday bday
`

// irregularPortuguese is the same for Portuguese, folded. Of the forms that ser
// shares with ir, those in the first person are taken for ir ("fui ao médico"); the
// others are stop words. Left out: dado (data), posto (station), peça, faca, vale.
//
//nolint:misspell // it is Portuguese
const irregularPortuguese = `ir fui fomos foste vou vais vai vamos vao va irei ira irao iria iriam iremos ia iam iamos indo ido
fazer faco faz fazem fazemos fiz fez fizemos fizeram fazia faziam fara farei farao faria fariam feito feita feitos feitas facam fizer fizesse fazendo
dizer digo diz dizem disse disseram dissemos dizia diziam dira direi diria dito ditos diga digam dizendo
trazer trago traz trazem trouxe trouxeram trouxemos trazia trara traria traga trazendo trazido
poder posso pode podem podemos pude puderam pudemos podia podiam podera poderia poderiam possa possam puder
querer quero quer querem queremos quis quiseram quisemos queria queriam queira queiram quiser
saber sei sabe sabem sabemos soube souberam soubemos sabia sabiam sabera saberia saiba saibam souber
ver vejo ve veem vemos vi viu viram via viam verei vera veria visto vista vistos veja vejam vendo
vir venho vem vimos vieram veio vinha vinham virei vira viria vindo venha venham vier viesse
por ponho poe poem pomos pus pos puseram punha punham pora poria ponha pondo
dar dou dao damos dei deu deram dava davam darei dara daria deem dando
ler leio le leem lemos li leu leram lia liam lera leria lido lidos leia leiam lendo
crer creio cre creem cremos
cair caio cai caem caiu cairam caia caindo caido
sair saio sai saem saiu sairam saia saindo saido saiam
perder perco perde perdem perdi perdeu perderam perca perdendo perdido
pedir peco pede pedem pedi pediu pediram pedindo pedido
ouvir ouco ouve ouvem ouvi ouviu ouviram ouca ouvindo ouvido
dormir durmo dorme dormem dormi dormiu dormiram durma dormindo
sentir sinto sente sentem senti sentiu sentiram sinta sentindo
mentir minto
servir sirvo serve servem servi serviu serviram sirva
seguir sigo segue seguem segui seguiu seguiram siga seguindo
conseguir consigo consegue conseguem consegui conseguiu conseguiram consiga conseguindo
preferir prefiro prefere preferem preferi preferiu
vestir veste vestem vestiu
subir subo sobe sobem subi subiu subiram suba
fugir fujo foge fogem fugiu fugiram
valer valho valem valeu valha
caber caibo cabe cabem coube couberam
medir meco mede medem mediu
rir ri riem riu riram
nascer nasci nasceu nasceram nasco
conhecer conheco conhece conhecem conheci conheceu conheceram conheca conhecendo
escrever escrito escrita escritos escritas
abrir aberto aberta abertos abertas
cobrir cubro coberto coberta
morrer morto morta mortos mortas
ganhar ganho ganha
gastar gasto gastos
pagar pago paga paguei pague
ficar fiquei fique fiquem
tocar toquei toque
buscar busquei busque
chegar cheguei chegue
jogar joguei jogue jogo jogos
comecar comecei comece
mulher mulheres
homem homens
mao maos
mae maes mamae
pai papai
irmao irmaos irma irmas
cao caes
pao paes
bom boa bons boas
mau ma maus pior piores
avo avos vovo
filho filha filhos filhas
amigo amiga amigos amigas
doer doi doem doeu
construir construo constroi constroem construiu
destruir destroi destroem destruiu
divertir divirto diverte divertem divertiu
repetir repito repete repetem repetiu
ferir firo fere feriu
despedir despeco despede despediu
descobrir descubro descobre descobri descobriu descoberto descoberta
engolir engulo engole engoliu
odiar odeio odeia odeiam
passear passeio passeia passeiam passeei passeios
brincar brinquei brinque
explicar expliquei explique
marcar marquei marque
almocar almocei almoco
dirigir dirijo
agradecer agradeco
aparecer apareco
parecer pareco
esquecer esqueco
merecer mereco
oferecer ofereco
crescer cresco
descer desco
vencer venco
proteger protejo
ligar liguei ligue
pegar peguei pegue
entregar entreguei entregue
trocar troquei troque
viajar viagem viagens
eleger eleito eleita
acender aceso acesa
prender preso presa presos presas
manter mantenho mantem manteve mantinha
obter obtenho obtem obteve
conter contem conteve
propor proponho propoe propos proposto proposta
compor componho compoe compos composto
supor suponho supoe supos
expor exponho expoe expos exposto
prever prevejo preve previu previsto
janeiro jan
fevereiro fev
abril abr
agosto ago
novembro nov
dezembro dez
foto fotos fotografia fotografias
televisao tv
`
